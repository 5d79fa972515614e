"""Which part of the log a range of time needs, and whether the log and the ledger still have it.

A record counts in a window only if its event time lies in it, and it is admitted only if it arrives no
earlier than `future` before and no later than `late` after its event time. So the windows of a range are
decided by the arrivals from `future` before it to `late` after it, and by no others; copies of an event have
the same event time, so deduplication needs no more. Rules on what a card did before look back from the first
transactions of the range, so reading begins as much earlier. What is read before that only lets the watermark
stand where it stood.
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
    """A range of event time, microseconds since 1970, that begins and ends with a slide."""

    begin_us: int
    finish_us: int

    def holds(self, start_us: int, end_us: int) -> bool:
        return self.begin_us <= start_us and end_us <= self.finish_us


@dataclass(frozen=True)
class Arrivals:
    """In milliseconds since 1970: where reading begins, the first and the last arrival that decide."""

    warm_up_ms: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True)
class LogSpan:
    """`closed`: no record that is still to come can change a window of the range."""

    starts: Offsets
    ends: Offsets
    closed: bool

    @property
    def records(self) -> int:
        return sum(self.ends[partition] - start for partition, start in self.starts.items())


def widened(begin: datetime, finish: datetime, windows: WindowsSettings) -> Range:
    """The range from slide to slide that holds what was asked for.

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
    """Which arrivals a range needs, if rules look back so far at what a card did before."""
    first_ms = span.begin_us // 1000 - (card_horizon_seconds + lateness.future_seconds) * 1000
    return Arrivals(
        warm_up_ms=max(0, first_ms - lateness.watermark_delay_seconds * 1000),
        first_ms=max(0, first_ms),
        last_ms=-(-span.finish_us // 1000) + lateness.late_seconds * 1000,
    )


@dataclass(frozen=True)
class Held:
    """What the log says: per partition (first offset, end), and offsets by arrival; None = no such record.

    `after_last` is None where arrival is what producers say (CreateTime): then order proves nothing, and
    everything that was read is read again.
    """

    log: Ranges
    at_warm_up: Mapping[int, int | None]
    at_first: Mapping[int, int | None]
    after_last: Mapping[int, int | None] | None
    now_ms: int


def log_span(needed: Arrivals, held: Held, ledger: Ranges) -> LogSpan:
    """Offsets to read: only what the detector has read, so that like is compared with like.

    Raises:
        RefusedError: retention has removed records that the range needs, or the detector has not read all
            of them yet.
    """
    starts: Offsets = {}
    ends: Offsets = {}
    closed = held.after_last is not None
    for partition, (low, high) in sorted(held.log.items()):
        first_read, read = ledger.get(partition, (low, low))
        first, warm_up = held.at_first[partition], held.at_warm_up[partition]
        # Every record that is gone arrived before those held, unless arrival is what producers say.
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
    """Where the ledger begins; where it names nothing, the first record held.

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
