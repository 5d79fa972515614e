"""The running detector: a live table on a terminal, a line for each batch elsewhere; and its summary."""

import re
from collections import deque
from datetime import UTC, datetime

from rich.table import Table

from fraudctl.operations.detect.plan import DetectorPlan
from fraudctl.operations.detect.supervise import Batch, Detected
from fraudctl.runtime.jvm.jars import jar_set
from fraudctl.ui.console import say
from fraudctl.ui.drawing import Drawing
from fraudctl.ui.failure import masked

_ROWS = 12
_SECRET_NAME = re.compile(r"(?i)password|passwd|secret|token|credential")
STOPPED_AT_ONCE = (
    "the detector was killed; nothing is lost, for a batch lands as a whole or not at all, "
    "and the next `fraudctl detect` goes on from there"
)


class BatchView(Drawing):
    """A view of batches as they are committed."""

    def __init__(self) -> None:
        """Start with no batches; the last table stays on the terminal."""
        super().__init__(stays=True)
        self._recent: deque[Batch] = deque(maxlen=_ROWS)

    def show(self, batch: Batch) -> None:
        """Show one more batch; idle ones, which only move the watermark, are left out."""
        if not batch.read:
            return
        self._recent.append(batch)
        if self.drawn:
            self.draw(self._table())
        else:
            say(line(batch))

    def _table(self) -> Table:
        table = Table(
            title="micro-batches", title_justify="left", caption="Ctrl-C: finish the batch and stop"
        )
        names = ("batch", "read", "admitted", "duplicate", "refused", "windows", "alerts", "ms", "behind")
        for name in (*names, "watermark (UTC)"):
            table.add_column(name, justify="right", no_wrap=True)
        for batch in self._recent:
            table.add_row(
                f"{batch.batch_id}{' (replayed)' if batch.replayed else ''}",
                f"{batch.read:,}",
                f"{batch.fates.get('admitted', 0):,}",
                f"{batch.duplicates:,}",
                f"{batch.read - batch.fates.get('admitted', 0):,}",
                f"{batch.windows:,}",
                f"{batch.alerts:,}",
                f"{batch.trigger_ms:,}",
                _remaining(batch),
                _clock(batch.watermark_ms),
            )
        return table


def line(batch: Batch) -> str:
    """Return one batch as one line."""
    refused = batch.read - batch.fates.get("admitted", 0)
    return (
        f"batch {batch.batch_id}: read {batch.read}, duplicates {batch.duplicates}, refused {refused}, "
        f"windows {batch.windows}, alerts {batch.alerts}, "
        + (f"flags by card {batch.flags}, " if batch.flags else "")
        + f"{batch.trigger_ms} ms, watermark {_clock(batch.watermark_ms)}"
        + (f", behind {_remaining(batch)}" if _catches_up(batch) else "")
        + (f", held back by {batch.held_back_seconds} s" if batch.held_back_seconds else "")
        + (", replayed: nothing changed" if batch.replayed else "")
    )


def _catches_up(batch: Batch) -> bool:
    """Tell whether more records are waiting than one such batch reads."""
    return batch.behind > batch.read > 0


def _remaining(batch: Batch) -> str:
    """Return how many records are waiting and, while catching up, how long they take at this pace."""
    if not _catches_up(batch):
        return f"{batch.behind:,}"
    seconds = batch.behind / batch.read * batch.trigger_ms / 1000
    pace = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"{batch.behind:,} (about {pace})"


def summary(result: Detected) -> str:
    """Return the figures of one run."""
    fates = ", ".join(f"{count:,} {fate}" for fate, count in result.fates.items()) or "none"
    if not result.query_id:
        return f"stopped before the query had started: no batch was begun\nlog: {result.log}"
    idle = f", and {result.idle_batches:,} without a record" if result.idle_batches else ""
    lines = [
        f"batches: {result.batches - result.idle_batches:,}{idle}",
        f"records read: {result.records:,} ({fates}); duplicates among the admitted: {result.duplicates:,}",
    ]
    versions = ", ".join(digest[:12] for digest in result.rule_sets)
    lines.append(f"alerts: {result.alerts:,}" + (f"; judged by rule set {versions}" if versions else ""))
    if result.trigger_ms:
        figures = result.trigger_ms
        lines.append(
            f"trigger execution: p50 {figures['p50']:.0f} ms, p99 {figures['p99']:.0f} ms "
            f"over {figures['batches']:.0f} batches (first one {figures['first']:.0f} ms)"
        )
    if result.dropped_by_watermark:
        lines.append(
            f"warning: Spark dropped {result.dropped_by_watermark:,} rows behind its watermark; "
            "`fraudctl verify-idempotency` tells whether admitted events were among them"
        )
    return "\n".join([*lines, f"log: {result.log}"])


def plan_document(plan: DetectorPlan) -> dict[str, object]:
    """Return the spark-submit line with its environment, the packages behind its jars, and the job."""
    return {
        "packages": jar_set("connector").coordinates,
        "argv": [masked(part) for part in plan.place.submit.argv],
        "environment": {
            name: "***" if _SECRET_NAME.search(name) else masked(value)
            for name, value in sorted(plan.place.submit.environment.items())
        },
        "job_file": plan.job_file,
        "job": plan.job.model_dump(mode="json"),
    }


def _clock(milliseconds: int) -> str:
    if milliseconds == 0:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
