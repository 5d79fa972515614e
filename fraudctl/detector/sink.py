"""foreachBatch: collect one micro-batch, whole, and hand it to the landing."""

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
    """Ends the query between two batches: the batch that just began is left for the next start."""


class Sink:
    """Called by Spark once a micro-batch, on a thread of its own.

    `skew` looks at every batch and may have it run again; where it is None (a batch that was finished before
    is run again with its own watermark) nothing does.
    `same_source` is asked after a batch was read and before it lands, and raises if the topic is another one.
    `rules` are those that the query was made with, and may have the batch run again with others.
    `planned_ends` are the offsets, by partition, to which batches have been planned; empty before the first.
    `failure` keeps the first exception, because Spark hands it on only as text.
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
        """Land one batch; `collect` is that of the query which brings it."""
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
            # Consume everything first: returning without it would leave state stores uncommitted.
            content = collect(frame)
            failpoints.reach("batch_consumed")
            # Read from the right topic: ids do not come back, so what was read before now is of this one.
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
        """Before the query is started again, after a failure that was dealt with."""
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
