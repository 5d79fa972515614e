"""The function that Spark calls for each micro-batch: it collects the batch and writes it to PostgreSQL."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from fraudctl import failpoints
from fraudctl.database.landing import Landed, Landing, MicroBatch
from fraudctl.detector.checkpoint import Checkpoint, PlannedBatch
from fraudctl.detector.collect import BatchContent
from fraudctl.detector.rules_in_force import RulesInForce
from fraudctl.detector.skew import Skew


class StopRequestedError(Exception):
    """A requested stop, raised between two batches; the new batch is left for the next start."""


class Sink:
    """The writer that Spark calls once per micro-batch, on a thread of its own.

    `planned_ends` are the offsets, by partition, up to which batches have been planned; empty before the
    first one. `failure` keeps the first exception, because Spark passes it on only as text. `stopping` is set
    to end the query before the next batch; `idle` is set while no batch is running.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        landing: Landing,
        report: Callable[[MicroBatch, Landed], None],
        same_source: Callable[[], None],
        skew: Skew | None = None,
        rules: RulesInForce | None = None,
    ) -> None:
        """Connect the sink with its parts.

        Args:
            checkpoint: the checkpoint of the query.
            landing: the writer of batches.
            report: called with each batch and the result of writing it.
            same_source: called after a batch was read and before it is written; raises if the topic is
                another one.
            skew: checks every batch and may have it run again. None skips the check: a finished batch that is
                run again has its own watermark.
            rules: the active rules; they may have a batch run again with other rules. None skips the check.
        """
        self._checkpoint = checkpoint
        self._landing = landing
        self._report = report
        self._same_source = same_source
        self._skew = skew
        self._rules = rules
        self.stopping = threading.Event()
        self.idle = threading.Event()
        self.idle.set()
        self.failure: Exception | None = None
        self.planned_ends: Mapping[int, int] = {}

    def take(self, collect: Callable[[Any], BatchContent], frame: Any, batch_id: int) -> None:
        """Write one batch.

        Args:
            collect: collects the content of a batch; it belongs to the query that brings the batch.
            frame: the batch, a Dataset[Row] of the JVM.
            batch_id: number of the batch.

        Raises:
            StopRequestedError: a stop was requested before this batch began.
        """
        self.idle.clear()
        try:
            if self.stopping.is_set():
                raise StopRequestedError
            failpoints.reach("before_batch")
            if self._rules is not None:
                self._rules.check(self._checkpoint.query_id(), batch_id)
            planned = self._checkpoint.planned(batch_id)
            ends = {partition: end for partition, (_first, end) in planned.offsets.items()}
            self.planned_ends = ends
            # Read everything first: otherwise Spark would not commit its state stores.
            content = collect(frame)
            failpoints.reach("batch_consumed")
            # Topic ids are never reused, so this also proves that the records read before are of this topic.
            self._same_source()
            batch = self._micro_batch(content, planned)
            if self._skew is not None:
                self._skew.take(content.newest_arrivals_ms, ends)
            self._report(batch, self._landing.land(batch))
        except Exception as error:
            self.failure = self.failure or error
            raise
        finally:
            self.idle.set()

    def forget_failure(self) -> None:
        """Clear `failure` before the query is started again."""
        self.failure = None

    def _micro_batch(self, content: BatchContent, planned: PlannedBatch) -> MicroBatch:
        return MicroBatch(
            query_id=self._checkpoint.query_id(),
            batch_id=planned.batch_id,
            offsets=planned.offsets,
            intake=content.intake,
            watermark_ms=planned.watermark_ms,
            windows=content.windows,
            dead_letters=content.rejected,
            planned_ms=planned.planned_ms,
            arrivals_us=content.arrivals_us,
            alerts=tuple(content.alerts.values()),
            rule_set=self._rules.now.digest if self._rules else None,
            flags=tuple(content.flags),
        )
