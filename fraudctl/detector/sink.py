"""foreachBatch: collect one micro-batch, whole, and hand it to the landing."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

from pyspark.sql import DataFrame, Row

from fraudctl import failpoints
from fraudctl.database.flags import Flag
from fraudctl.database.landing import Alert, DeadLetter, Landed, Landing, MicroBatch, WindowRow
from fraudctl.detector.checkpoint import Checkpoint
from fraudctl.detector.rules_in_force import RulesInForce
from fraudctl.detector.skew import Skew
from fraudctl.detector.transforms import FLAG, INTAKE, WINDOW, summarise

ADMITTED = "admitted"


class StopRequestedError(Exception):
    """Ends the query between two batches: the batch that just began is left for the next start."""


class Sink:
    """Called by Spark once a micro-batch, on a thread of its own.

    `whole`: of how many rows of each partition the payload is kept whole, see `summarise`.
    `skew` looks at every batch and may have it run again; where it is None (a batch that was finished before
    is run again with its own watermark) nothing does.
    `same_source` is asked after a batch was read and before it lands, and raises if the topic is another one.
    `rules` are those that the query was made with, and may have the batch run again with others.
    `failure` keeps the first exception, because Spark hands it on only as text.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        landing: Landing,
        report: Callable[[MicroBatch, Landed], None],
        same_source: Callable[[], None],
        whole: int,
        skew: Skew | None = None,
        rules: RulesInForce | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._landing = landing
        self._report = report
        self._same_source = same_source
        self._whole = whole
        self._skew = skew
        self._rules = rules
        self.stopping = threading.Event()
        self.idle = threading.Event()
        self.idle.set()
        self.failure: Exception | None = None

    def __call__(self, frame: DataFrame, batch_id: int) -> None:
        self.idle.clear()
        try:
            if self.stopping.is_set():
                raise StopRequestedError
            failpoints.reach("before_batch")
            if self._rules is not None:
                self._rules.check(self._checkpoint.query_id(), batch_id)
            # Consume everything first: returning without it would leave state stores uncommitted.
            rows = summarise(frame, self._whole).collect()
            failpoints.reach("batch_consumed")
            # Read from the right topic: ids do not come back, so what was read before now is of this one.
            self._same_source()
            batch = self._micro_batch(rows, batch_id)
            if self._skew is not None:
                ends = {partition: end for partition, (_first, end) in batch.offsets.items()}
                self._skew.take(_newest_arrivals(rows), ends)
            self._report(batch, self._landing.land(batch))
        except Exception as error:
            self.failure = self.failure or error
            raise
        finally:
            self.idle.set()

    def forget_failure(self) -> None:
        """Before the query is started again, after a failure that was dealt with."""
        self.failure = None

    def _micro_batch(self, rows: list[Row], batch_id: int) -> MicroBatch:
        planned = self._checkpoint.planned(batch_id)
        fates: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        windows, letters = [], []
        flags: list[Flag] = []
        arrivals: list[int] = []
        for row in rows:
            if row["kind"] == WINDOW:
                windows.append(
                    WindowRow(
                        row["window_start_us"],
                        row["window_end_us"],
                        row["category"],
                        row["count"],
                        row["flagged_count"],
                        row["amount_minor"],
                        row["flagged_amount_minor"],
                    )
                )
                continue
            if row["kind"] == FLAG:
                flags.append(_flag(row))
                continue
            fates[row["partition"]][row["reason"] or ADMITTED] += row["count"]
            arrivals += (row["arrival_us"], row["newest_arrival_us"])
            if row["reason"]:
                letters.append(
                    DeadLetter(
                        row["partition"],
                        row["offset"],
                        row["reason"],
                        row["arrival_us"],
                        bytes(row["payload"]),
                        row["payload_bytes"],
                    )
                )
        return MicroBatch(
            query_id=self._checkpoint.query_id(),
            batch_id=batch_id,
            offsets=planned.offsets,
            intake={partition: dict(counts) for partition, counts in fates.items()},
            watermark_ms=planned.watermark_ms,
            windows=tuple(windows),
            dead_letters=tuple(letters),
            planned_ms=planned.planned_ms,
            arrivals_us=(min(arrivals), max(arrivals)) if arrivals else None,
            alerts=tuple(alerts_of(rows).values()),
            rule_set=self._rules.now.digest if self._rules else None,
            flags=tuple(flags),
        )


def alerts_of(rows: Iterable[Row]) -> dict[str, Alert]:
    """The alerts of a batch, one a transaction, by digest.

    What a record raises by itself stands as it is, whatever its card's past would add; its copies differ in
    nothing but their arrival, and the first stays. By the card's past copies in several partitions have
    verdicts of their own: there too the first stays, and of two at once the one of the lowest partition.
    """
    by_itself: dict[str, Alert] = {}
    by_card: dict[str, tuple[int, Alert]] = {}
    for row in rows:
        if row["kind"] == INTAKE and row["digest"]:
            alert = _alert(row)
            known = by_itself.get(alert.digest)
            if known is None or alert.arrival_us < known.arrival_us:
                by_itself[alert.digest] = alert
        elif row["kind"] == FLAG and row["alert"]:
            alert = _alert(row)
            first = by_card.get(alert.digest)
            rank = alert.arrival_us, row["partition"]
            if first is None or rank < (first[1].arrival_us, first[0]):
                by_card[alert.digest] = row["partition"], alert
    return {digest: alert for digest, (_partition, alert) in by_card.items()} | by_itself


def _flag(row: Row) -> Flag:
    return Flag(**{name: row[name] for name in Flag.__dataclass_fields__})


def _alert(row: Row) -> Alert:
    return Alert(**{name: row[name] for name in Alert.__dataclass_fields__})


def _newest_arrivals(rows: list[Row]) -> dict[int, int]:
    """Of each partition that brought records, in milliseconds."""
    newest: dict[int, int] = {}
    for row in rows:
        if row["kind"] == INTAKE:
            arrival_ms = row["newest_arrival_us"] // 1000
            newest[row["partition"]] = max(arrival_ms, newest.get(row["partition"], arrival_ms))
    return newest
