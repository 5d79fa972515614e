"""Which offsets a range needs, and when it is refused: every bound exactly."""

from datetime import UTC, datetime

import pytest

from fraudctl.config.load import load
from fraudctl.errors import RefusedError, UsageError
from fraudctl.operations.replay.offsets import (
    Arrivals,
    Held,
    Range,
    arrivals,
    from_the_beginning,
    log_span,
    widened,
)

SETTINGS = load().settings
NEEDED = Arrivals(warm_up_ms=1_000, first_ms=2_000, last_ms=9_000)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def held(
    low: int = 0,
    high: int = 100,
    *,
    warm_up: int | None = 10,
    first: int | None = 20,
    after: int | None = 80,
    ordered: bool = True,
    now_ms: int = 10_000,
) -> Held:
    return Held({0: (low, high)}, {0: warm_up}, {0: first}, {0: after} if ordered else None, now_ms)


def test_a_range_is_widened_to_whole_slides() -> None:
    span = widened(at("2026-03-10T12:00:30.5Z"), at("2026-03-10T12:20:00.000001Z"), SETTINGS.windows)
    minute = 60_000_000
    begin = int(datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()) * 1_000_000
    assert span == Range(begin, begin + 21 * minute)
    assert span.holds(begin, begin + 10 * minute)
    assert span.holds(begin + 11 * minute, begin + 21 * minute)
    assert not span.holds(begin - minute, begin + 9 * minute)
    assert not span.holds(begin + 12 * minute, begin + 22 * minute)


def test_a_range_without_a_window_is_refused() -> None:
    widened(at("2026-03-10T12:00:59Z"), at("2026-03-10T12:09:01Z"), SETTINGS.windows)
    with pytest.raises(UsageError, match="no window lies wholly"):
        widened(at("2026-03-10T12:01:00Z"), at("2026-03-10T12:10:00Z"), SETTINGS.windows)


def test_arrivals_reach_from_future_before_to_late_after() -> None:
    hour_us = 3_600_000_000
    needed = arrivals(Range(hour_us, 2 * hour_us), SETTINGS.lateness)
    assert needed == Arrivals(3_480_000 - 900_000, 3_480_000, 7_500_000)
    further_back = arrivals(Range(hour_us, 2 * hour_us), SETTINGS.lateness, 600)
    assert further_back == Arrivals(2_880_000 - 900_000, 2_880_000, 7_500_000)


def test_read_from_the_warm_up_to_the_last_arrival() -> None:
    part = log_span(NEEDED, held(), {0: (0, 100)})
    assert (part.starts, part.ends, part.closed, part.records) == ({0: 10}, {0: 80}, True, 70)
    # The warm-up is welcome, not needed: where it is gone, reading begins with what is there.
    assert log_span(NEEDED, held(low=15), {0: (0, 100)}).starts == {0: 15}
    # Nothing before the place where the detector began.
    assert log_span(NEEDED, held(), {0: (30, 100)}).starts == {0: 30}


def test_a_range_that_reaches_the_end_of_the_log_is_closed_only_once_its_last_arrival_is_past() -> None:
    for now_ms, closed in ((9_001, True), (9_000, False)):
        part = log_span(NEEDED, held(after=None, now_ms=now_ms), {0: (0, 100)})
        assert (part.ends, part.closed) == ({0: 100}, closed)


def test_where_producers_say_when_a_record_arrived_everything_is_read_and_nothing_is_closed() -> None:
    part = log_span(NEEDED, held(ordered=False, now_ms=10**9), {0: (0, 100)})
    assert (part.starts, part.ends, part.closed) == ({0: 10}, {0: 100}, False)


@pytest.mark.parametrize(
    "log",
    [
        held(low=20),  # the first record held is one of those needed: the one before it may have been, too
        held(low=25, first=25, warm_up=25),
        held(low=100, first=None, warm_up=None, after=None),
        held(low=15, ordered=False),  # by offset nothing can be told about arrivals
    ],
)
def test_what_retention_may_have_taken_is_refused(log: Held) -> None:
    with pytest.raises(RefusedError, match="retention has removed"):
        log_span(NEEDED, log, {0: (0, 100)})


def test_what_retention_took_before_the_detector_began_is_of_no_account() -> None:
    assert log_span(NEEDED, held(low=20), {0: (20, 100)}).starts == {0: 20}


@pytest.mark.parametrize(
    ("log", "read"), [(held(), 79), (held(after=None), 99), (held(ordered=False), 99), (held(), None)]
)
def test_a_range_that_was_not_read_to_its_end_is_refused(log: Held, read: int | None) -> None:
    with pytest.raises(RefusedError, match="has not yet read"):
        log_span(NEEDED, log, {} if read is None else {0: (0, read)})


def test_a_rebuild_begins_where_the_ledger_begins() -> None:
    assert from_the_beginning({0: (5, 9), 1: (0, 0)}, {0: (7, 9)}) == {0: 7, 1: 0}
    assert from_the_beginning({0: (5, 9)}, {}) == {0: 5}
    with pytest.raises(RefusedError, match="retention has removed"):
        from_the_beginning({0: (8, 9)}, {0: (7, 9)})
