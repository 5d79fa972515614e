"""Offsets that a replay of a time range must read, and checks that log and ledger still have them.

A record counts in a window only if its event time lies in it, and it is admitted only if it arrives no
earlier than `future` before and no later than `late` after its event time. So only the arrivals from `future`
before a range to `late` after it decide the windows of the range. Copies of an event have its event time, so
deduplication needs no further records. Rules on a card's past look back from the first transactions of the
range, so reading begins earlier by that look-back. The records read before that are a warm-up: they only
bring the watermark to the value that it had.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fraudctl.config.lane import Offsets
from fraudctl.config.model import LatenessSettings, WindowsSettings
from fraudctl.errors import RefusedError, UsageError

_MINUTE_US = 60_000_000
Ranges = Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Range:
    """A range of event time in microseconds since 1970, whose begin and end are multiples of the slide."""

    begin_us: int
    finish_us: int

    def holds(self, start_us: int, end_us: int) -> bool:
        """Return whether a window lies wholly inside the range."""
        return self.begin_us <= start_us and end_us <= self.finish_us


@dataclass(frozen=True)
class Arrivals:
    """The arrival times that a range needs, in milliseconds since 1970.

    `warm_up_ms`: where reading begins; `first_ms` and `last_ms`: the first and the last arrival that can
    change the range.
    """

    warm_up_ms: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True)
class LogSpan:
    """The offsets to read per partition.

    `closed`: no record that is still to come can change a window of the range.
    """

    starts: Offsets
    ends: Offsets
    closed: bool

    @property
    def records(self) -> int:
        """Return the number of offsets to read, over all partitions."""
        return sum(self.ends[partition] - start for partition, start in self.starts.items())


def widened(begin: datetime, finish: datetime, windows: WindowsSettings) -> Range:
    """Return the smallest range of whole slides that contains the requested time span.

    Raises:
        UsageError: not one whole window fits in it.
    """
    slide = windows.slide_minutes * _MINUTE_US
    begin_us = _microseconds(begin) // slide * slide
    finish_us = -(-_microseconds(finish) // slide) * slide
    if finish_us - begin_us < windows.length_minutes * _MINUTE_US:
        raise UsageError(
            f"no window lies wholly between {begin.isoformat()} and {finish.isoformat()}",
            hint=f"a window is {windows.length_minutes} minutes long; widen --from and --to",
        )
    return Range(begin_us, finish_us)


def arrivals(span: Range, lateness: LatenessSettings, card_horizon_seconds: int = 0) -> Arrivals:
    """Return the arrival times that a range needs, with rules that look back that many seconds at a card."""
    first_ms = span.begin_us // 1000 - (card_horizon_seconds + lateness.future_seconds) * 1000
    return Arrivals(
        warm_up_ms=max(0, first_ms - lateness.watermark_delay_seconds * 1000),
        first_ms=max(0, first_ms),
        last_ms=-(-span.finish_us // 1000) + lateness.late_seconds * 1000,
    )


@dataclass(frozen=True)
class Held:
    """The offsets that the log holds per partition, as (first offset, end), and offsets by arrival time.

    An offset by arrival is None where no record arrived at that time or later. `after_last` itself is None
    where producers set the timestamp (CreateTime): then the order of arrivals proves nothing, and everything
    that the detector has read is read again.
    """

    log: Ranges
    at_warm_up: Mapping[int, int | None]
    at_first: Mapping[int, int | None]
    after_last: Mapping[int, int | None] | None
    now_ms: int


def log_span(needed: Arrivals, held: Held, ledger: Ranges) -> LogSpan:
    """Return the offsets to read, limited to what the detector has read, so that both sides are comparable.

    Raises:
        RefusedError: retention has removed records that the range needs, or the detector has not read all of
            them yet.
    """
    starts: Offsets = {}
    ends: Offsets = {}
    closed = held.after_last is not None
    for partition, (low, high) in sorted(held.log.items()):
        first_read, read = ledger.get(partition, (low, low))
        first, warm_up = held.at_first[partition], held.at_warm_up[partition]
        # Every removed record arrived before those held, unless producers set the timestamp.
        earlier = held.after_last is not None and low < high and (first is None or first > low)
        if low > first_read and not earlier:
            raise _gone(partition, low)
        after = held.after_last[partition] if held.after_last is not None else None
        if read < (high if after is None else after):
            raise RefusedError(
                "the detector has not yet read all records of the range",
                detail=f"partition {partition}: it has come to offset {read}, the range needs up to "
                f"{high if after is None else after}",
                hint="run `fraudctl detect --until-caught-up`, or let --to be earlier",
            )
        closed = closed and (after is not None or held.now_ms > needed.last_ms)
        ends[partition] = read if after is None else min(after, read)
        begin = high if warm_up is None else warm_up
        starts[partition] = min(max(begin, first_read, low), ends[partition])
    return LogSpan(starts, ends, closed)


def from_the_beginning(log: Ranges, ledger: Ranges) -> Offsets:
    """Return per partition the first offset of the ledger, or the first one held where the ledger has none.

    Raises:
        RefusedError: retention has removed records that were counted.
    """
    starts: Offsets = {}
    for partition, (low, _high) in sorted(log.items()):
        first_read = ledger.get(partition, (low, low))[0]
        if low > first_read:
            raise _gone(partition, low)
        starts[partition] = first_read
    return starts


def _gone(partition: int, low: int) -> RefusedError:
    return RefusedError(
        "retention has removed records that this replay needs",
        detail=f"partition {partition} begins at offset {low}; what lay before it was counted and is gone",
        hint="the landed windows are all that is left of it; choose a later --from, or keep them aside and "
        "begin anew with `fraudctl detect --new-generation`",
    )


def _microseconds(instant: datetime) -> int:
    return int(instant.replace(microsecond=0).timestamp()) * 1_000_000 + instant.microsecond
