"""Bring a micro-batch to the driver: the query's rows, and the results of the intake."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import msgspec

from fraudctl.database.flags import Flag
from fraudctl.database.landing import Alert, DeadLetter, WindowRow
from fraudctl.detector.intake import Intake, PartitionIntake

ADMITTED = "admitted"

# A row of `transforms.output_rows`: the columns of a window, then those of a flag.
_row = msgspec.json.Decoder(list[Any])
_WINDOW_FIELDS = len(fields(WindowRow))


@dataclass(frozen=True)
class BatchContent:
    """The content of one micro-batch.

    `flags` says for each flag whether its rules together raise an alert. `alerts` has one alert for each
    transaction, by its digest.
    """

    windows: tuple[WindowRow, ...]
    flags: dict[Flag, bool]
    rejected: tuple[DeadLetter, ...]
    alerts: dict[str, Alert]
    partitions: dict[int, PartitionIntake]

    @property
    def intake(self) -> dict[int, dict[str, int]]:
        """Return the number of records of each partition by outcome: `admitted` or a reason."""
        counts = {partition: Counter[str]() for partition in self.partitions}
        for letter in self.rejected:
            counts[letter.partition][letter.reason] += 1
        for partition, brought in self.partitions.items():
            admitted = brought.records - counts[partition].total()
            if admitted:
                counts[partition][ADMITTED] = admitted
        return {partition: dict(own) for partition, own in counts.items()}

    @property
    def newest_arrivals_ms(self) -> dict[int, int]:
        """Return the newest arrival of each partition that brought records, in ms since the epoch."""
        return {partition: one.newest_arrival_us // 1000 for partition, one in self.partitions.items()}

    @property
    def arrivals_us(self) -> tuple[int, int] | None:
        """Return the oldest and the newest arrival in µs since the epoch; None without any record."""
        if not self.partitions:
            return None
        brought = self.partitions.values()
        return min(one.oldest_arrival_us for one in brought), max(one.newest_arrival_us for one in brought)


def collect(batch: Any, intake: Intake) -> BatchContent:
    """Run the batch once, and return everything that it brings.

    There is only one Spark action: a second one would run the batch's stateful plan a second time.

    Args:
        batch: the output of the query, a Dataset[Row] of the JVM.
        intake: the intake of the query.
    """
    windows: list[WindowRow] = []
    flags: dict[Flag, bool] = {}
    for line in intake.collect(batch):
        row = _row.decode(line)
        if row[0] is not None:
            windows.append(WindowRow(*row[:_WINDOW_FIELDS]))
        else:
            *values, alert = row[_WINDOW_FIELDS:]
            flags[Flag(*values)] = alert
    return BatchContent(
        windows=tuple(windows),
        flags=flags,
        rejected=tuple(intake.rejected()),
        alerts=alerts_of(intake.alerts(), (flag for flag, alert in flags.items() if alert)),
        partitions=intake.partitions(),
    )


def alerts_of(by_itself: Iterable[Alert], by_card: Iterable[Flag]) -> dict[str, Alert]:
    """Return the alerts of a batch, one for each transaction, by digest.

    An alert that a record raises by itself takes precedence over one from its card's past. Its copies differ
    only in their arrival, and the earliest one counts. With the card's past, copies in several partitions are
    evaluated separately: again the earliest one counts, and of two at the same time the one of the lowest
    partition.
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
    names = [field.name for field in fields(Alert)]
    by_card_alerts = {
        digest: Alert(**{name: getattr(flag, name) for name in names})
        for digest, flag in first_by_card.items()
    }
    return by_card_alerts | first_by_itself
