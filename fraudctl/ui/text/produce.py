"""Traffic as text: one line that is redrawn while it flows, and the delivery report at the end."""

import time
from typing import TYPE_CHECKING

from fraudctl.errors import NOT_DELIVERED, DataError
from fraudctl.operations.produce.steady import Produced, Progress
from fraudctl.ui.console import say
from fraudctl.ui.drawing import Drawing

if TYPE_CHECKING:
    from fraudctl.operations.produce.file import FileProduced
    from fraudctl.operations.produce.preset import PresetProduced

PLAIN_SECONDS = 5.0


class ProduceView(Drawing):
    """A view of the progress: redrawn on a terminal, a plain line every five seconds elsewhere."""

    def __init__(self) -> None:
        """Start the view; the first plain line comes after five seconds."""
        super().__init__()
        self._said = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Show the progress; plain lines that come too early are left out."""
        self.draw_line(line(progress))
        if not self.drawn and time.monotonic() - self._said >= PLAIN_SECONDS:
            self._said = time.monotonic()
            say(line(progress))


def line(progress: Progress) -> str:
    """Return the progress as one line."""
    account = progress.deliveries
    parts = [
        f"{progress.seconds:6.1f} s",
        f"{progress.rate:,.0f}/s",
        f"sent {account.sent:,}",
        f"acknowledged {account.acknowledged:,}",
        f"queue {account.queued:,}",
        f"errors {account.failed:,}",
        f"seed {progress.seed}",
    ]
    if progress.trouble:
        parts.append(f"waiting for Kafka: {progress.trouble}")
    return "  ".join(parts)


def summary(result: Produced) -> str:
    """Return the report of one run."""
    lines = [
        f"sent {result.sent:,} to {result.topic!r}: "
        f"{result.acknowledged:,} acknowledged, {result.failed:,} failed",
        f"rate: {result.rate_achieved:,.1f}/s achieved, {_rate(result)} asked, "
        f"over {result.seconds:,.1f} s from {result.anchor}",
        f"seed: {result.seed}  digest: {result.digest}",
    ]
    if result.skipped_seconds:
        lines.append(skipped(result))
    return "\n".join(lines)


def preset_summary(result: "PresetProduced") -> str:
    """Return the report of one run of a preset."""
    scenarios = ", ".join(f"{name} {count:,}" for name, count in result.by_scenario.items() if count)
    pace = f"{result.speed:,.12g}x" if result.speed else _rate(result)
    lines = [
        f"sent {result.sent:,} to {result.topic!r}: "
        f"{result.acknowledged:,} acknowledged, {result.failed:,} failed",
        f"pace: {pace} asked, {result.rate_achieved:,.1f}/s achieved, "
        f"over {result.seconds:,.1f} s from {result.anchor}",
        f"preset: {result.preset}  seed: {result.seed}  digest: {result.digest}",
        f"fraud: {result.fraud:,} of {result.transactions:,}" + (f": {scenarios}" if scenarios else ""),
    ]
    if result.faults:
        lines.append("expected: " + ", ".join(f"{name} {count:,}" for name, count in result.fates.items()))
    if result.labels_topic:
        lines.append(
            f"labels: {result.labels_sent:,} to {result.labels_topic!r}, "
            f"{result.labels_early:,} of them at the end, before their time"
        )
    if result.skipped_seconds:
        lines.append(skipped(result))
    return "\n".join(lines)


def not_delivered(result: Produced) -> DataError:
    """Return the error that says what went wrong, and how often."""
    lines = [f"{count:,} times {reason}" for reason, count in result.errors.items()]
    unknown = result.sent - result.acknowledged - result.failed
    if unknown:
        lines.append(f"{unknown:,} are unaccounted for: Kafka's client reported neither success nor failure")
    return DataError(
        f"{result.sent - result.acknowledged:,} of {result.sent:,} events were not delivered",
        detail="\n".join(lines),
        hint=NOT_DELIVERED,
    )


def preset_not_delivered(result: "PresetProduced | FileProduced") -> DataError:
    """Return the error for events, and labels, that were not delivered."""
    error = not_delivered(result)
    if result.labels_failed:
        error.message += f", and {result.labels_failed:,} of {result.labels_sent:,} labels"
    return error


def _rate(result: Produced) -> str:
    return "max" if result.rate_asked is None else f"{result.rate_asked:,.1f}/s"


def skipped(result: Produced) -> str:
    """Return the line that says how much of the schedule was skipped."""
    return f"{result.skipped_seconds:,.1f} s of the schedule were skipped: Kafka or this machine halted"
