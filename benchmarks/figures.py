"""Statistics of samples: medians, percentiles, steady rates of batches, ratios of interleaved rounds."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Batch:
    """One micro-batch: the records it read, its start in seconds since the epoch, and its duration."""

    records: int
    began: float
    seconds: float

    @property
    def ended(self) -> float:
        return self.began + self.seconds


@dataclass(frozen=True)
class Rates:
    """Events per second of a drain. `steady` leaves out the first batch, the warm-up."""

    steady: float
    best: float
    steady_began: float
    steady_ended: float
    steady_records: int


def rates(batches: Sequence[Batch]) -> Rates:
    """Return the rates of one drain.

    The steady rate counts from the end of the first batch that read records to the end of the last one. The
    best rate is that of the fastest full batch: one with at least nine tenths of the most records.

    Raises:
        ValueError: fewer than two batches read records.
    """
    full = sorted((batch for batch in batches if batch.records), key=lambda batch: batch.began)
    if len(full) < 2:
        raise ValueError(f"a steady rate needs two batches with records, and there are {len(full)}")
    rest = full[1:]
    records = sum(batch.records for batch in rest)
    most = max(batch.records for batch in rest)
    best = max(batch.records / batch.seconds for batch in rest if batch.records >= 0.9 * most)
    began, ended = full[0].ended, rest[-1].ended
    return Rates(records / (ended - began), best, began, ended, records)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` of all values lie, by linear interpolation.

    Raises:
        ValueError: there are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    index = share * (len(ordered) - 1)
    low = int(index)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (index - low)


def visibility_delays(arrivals: Sequence[float], counts: Sequence[tuple[float, int]]) -> list[float]:
    """Return for each event how long it took from its arrival until the stored count included it.

    Events are taken to become visible in the order of arrival. That may swap two events of one batch, which
    changes no mean and hardly a percentile.

    Args:
        arrivals: seconds since the epoch, in ascending order.
        counts: moments at which the stored count was read, and that count; ascending.
    """
    delays = []
    index = 0
    for number, arrival in enumerate(arrivals, start=1):
        while index < len(counts) and counts[index][1] < number:
            index += 1
        if index == len(counts):
            break
        delays.append(max(0.0, counts[index][0] - arrival))
    return delays


def by_round(samples: Iterable[dict[str, Any]], side: str, value: str) -> dict[int, float]:
    """Return one value of a side by round; warm-ups and failures are left out."""
    return {
        sample["round"]: sample["values"][value]
        for sample in samples
        if sample["side"] == side and not sample["warm_up"] and value in sample["values"]
    }


def ratio(samples: Sequence[dict[str, Any]], side: str, other: str, value: str, to: str = "") -> float | None:
    """Return the median of `side / other` over the rounds that have both; None where no round has.

    Args:
        to: the value of the other side, if it has another name.
    """
    above, below = by_round(samples, side, value), by_round(samples, other, to or value)
    quotients = [above[number] / below[number] for number in above.keys() & below.keys() if below[number]]
    return statistics.median(quotients) if quotients else None
