"""Bring a micro-batch to the driver: the query's rows as Arrow, and what the intake has put aside."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import pyarrow
import pyarrow.compute
from pyspark.sql import DataFrame

from fraudctl.database.flags import Flag
from fraudctl.database.landing import Alert, DeadLetter, WindowRow
from fraudctl.detector.intake import Intake, PartitionIntake
from fraudctl.detector.transforms import FLAG, WINDOW

ADMITTED = "admitted"


@dataclass(frozen=True)
class BatchContent:
    """Everything that a micro-batch brings, whatever becomes of it.

    `flags` says of each whether its rules together raise an alert; `alerts` has one alert for each
    transaction, by its digest.
    """

    windows: tuple[WindowRow, ...]
    flags: dict[Flag, bool]
    rejected: tuple[DeadLetter, ...]
    alerts: dict[str, Alert]
    partitions: dict[int, PartitionIntake]

    @property
    def intake(self) -> dict[int, dict[str, int]]:
        """How many records of each partition were admitted, or rejected for which reason."""
        rejected = Counter((each.partition, each.reason) for each in self.rejected)
        counts: dict[int, dict[str, int]] = {}
        for partition, brought in self.partitions.items():
            own = {reason: number for (where, reason), number in rejected.items() if where == partition}
            admitted = brought.records - sum(own.values())
            counts[partition] = ({ADMITTED: admitted} if admitted else {}) | own
        return counts

    @property
    def newest_arrivals_ms(self) -> dict[int, int]:
        """The newest arrival of each partition that brought records."""
        return {partition: one.newest_arrival_us // 1000 for partition, one in self.partitions.items()}

    @property
    def arrivals_us(self) -> tuple[int, int] | None:
        """The oldest and the newest arrival; None if the batch brought no record."""
        if not self.partitions:
            return None
        brought = self.partitions.values()
        return min(one.oldest_arrival_us for one in brought), max(one.newest_arrival_us for one in brought)


def collect(frame: DataFrame, intake: Intake) -> BatchContent:
    """Run the batch, once, and take in all that it brings.

    One action: a second one would run the batch's stateful plan a second time.
    """
    intake.begin()
    table = frame.toArrow()
    flags = dict(_flags(table))
    return BatchContent(
        windows=tuple(WindowRow(*row) for row in _rows(_of_kind(table, WINDOW), _names(WindowRow))),
        flags=flags,
        rejected=tuple(intake.rejected()),
        alerts=alerts_of(intake.alerts(), (flag for flag, alert in flags.items() if alert)),
        partitions=intake.partitions(),
    )


def alerts_of(by_itself: Iterable[Alert], by_card: Iterable[Flag]) -> dict[str, Alert]:
    """The alerts of a batch, one a transaction, by digest.

    What a record raises by itself stands as it is, whatever its card's past would add; its copies differ in
    nothing but their arrival, and the first stays. By the card's past copies in several partitions have
    verdicts of their own: there too the first stays, and of two at once the one of the lowest partition.
    """
    first_by_itself: dict[str, Alert] = {}
    for alert in by_itself:
        known = first_by_itself.get(alert.digest)
        if known is None or alert.arrival_us < known.arrival_us:
            first_by_itself[alert.digest] = alert
    first_by_card: dict[str, Flag] = {}
    for flag in by_card:
        first = first_by_card.get(flag.digest)
        if first is None or (flag.arrival_us, flag.partition) < (first.arrival_us, first.partition):
            first_by_card[flag.digest] = flag
    return {digest: _alert(flag) for digest, flag in first_by_card.items()} | first_by_itself


def _alert(flag: Flag) -> Alert:
    return Alert(**{name: getattr(flag, name) for name in _names(Alert)})


def _flags(table: pyarrow.Table) -> Iterator[tuple[Flag, bool]]:
    for *row, alert in _rows(_of_kind(table, FLAG), [*_names(Flag), "alert"]):
        yield Flag(*row), alert


def _of_kind(table: pyarrow.Table, kind: str) -> pyarrow.Table:
    """The rows of one kind; a table without `kind` has windows only."""
    if "kind" in table.column_names:
        return table.filter(pyarrow.compute.equal(table["kind"], kind))
    return table if kind == WINDOW else table.slice(0, 0)


def _rows(table: pyarrow.Table, names: list[str]) -> Iterator[tuple[Any, ...]]:
    if table.num_rows == 0:
        return iter(())
    return zip(*(table[name].to_pylist() for name in names), strict=True)


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]
