"""The schedule of events, by clocks that only move when a test moves them."""

from dataclasses import dataclass

import pytest

from fraudctl.simulator.pacing import (
    CATCH_UP,
    HICCUP_SECONDS,
    LONGEST_PAUSE_SECONDS,
    TICK_SECONDS,
    Schedule,
    Unthrottled,
)

WALL = 1_790_000_000.0


@dataclass
class Clocks:
    """A monotonic clock and a wall clock; `sleep` moves both."""

    monotonic: float = 1000.0
    wall: float = WALL

    def sleep(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds

    def schedule(self, rate: float, lag_limit_seconds: float = 60.0) -> Schedule:
        return Schedule(
            rate,
            lag_limit_seconds=lag_limit_seconds,
            monotonic=lambda: self.monotonic,
            wall=lambda: self.wall,
        )


def run(clocks: Clocks, schedule: Schedule, seconds: float, *, overhead: float = 0.0) -> int:
    """Loop as a producer does, each round taking `overhead` on top of the pause; how many events went."""
    end = clocks.monotonic + seconds
    gone = 0
    while clocks.monotonic < end:
        gone += schedule.due()
        clocks.sleep(overhead)
        clocks.sleep(min(schedule.pause(), max(0.0, end - clocks.monotonic)))
    return gone + schedule.due()


@pytest.mark.parametrize("rate", [0.5, 1, 7, 500, 5000, 33_333.3])
@pytest.mark.parametrize("overhead", [0.0, 0.0007, 0.011])
def test_no_delay_adds_up(rate: float, overhead: float) -> None:
    clocks = Clocks()
    schedule = clocks.schedule(rate)
    gone = run(clocks, schedule, 20.0, overhead=overhead)
    assert gone == pytest.approx(schedule.elapsed * rate + 1, abs=1.0)


def test_the_first_event_is_due_at_once() -> None:
    clocks = Clocks()
    schedule = clocks.schedule(10)
    assert [schedule.due(), schedule.due()] == [1, 0]


def test_event_times_are_the_scheduled_times() -> None:
    clocks = Clocks()
    schedule = clocks.schedule(400)
    run(clocks, schedule, 3.0, overhead=0.003)
    assert schedule.anchor_ms == 1_790_000_000_000
    offsets = [schedule.event_time_ms(number) - schedule.anchor_ms for number in (0, 1, 2, 400, 1200)]
    assert offsets == [0, 2, 5, 1000, 3000]


def test_the_times_of_many_events_are_those_of_each() -> None:
    clocks = Clocks(wall=WALL + 0.123456)
    schedule = clocks.schedule(33_333.3, lag_limit_seconds=1.0)
    run(clocks, schedule, 1.0)
    clocks.sleep(7.7)
    schedule.due()
    many = schedule.event_times_ms(31_000, 5_000)
    assert many == [schedule.event_time_ms(number) for number in range(31_000, 36_000)]
    shift = schedule.skipped_seconds
    assert many == [
        int((WALL + 0.123456) * 1000 + (number / 33_333.3 + shift) * 1000) for number in range(31_000, 36_000)
    ]


def test_without_a_rate_events_are_always_due_and_happen_when_they_leave() -> None:
    clocks = Clocks()
    pace = Unthrottled(monotonic=lambda: clocks.monotonic, wall=lambda: clocks.wall)
    assert pace.due() > 0
    assert pace.pause() == 0.0
    assert set(pace.event_times_ms(0, 3)) == {pace.anchor_ms}
    clocks.sleep(100.0)
    assert pace.due() > 0
    assert pace.event_times_ms(3, 2) == [pace.anchor_ms + 100_000] * 2
    assert (pace.elapsed, pace.skipped_seconds) == (100.0, 0.0)


def test_a_hiccup_is_made_up_for_at_once() -> None:
    clocks = Clocks()
    schedule = clocks.schedule(1000)
    run(clocks, schedule, 1.0)
    clocks.sleep(0.09)
    assert schedule.due() == pytest.approx(90, abs=1)


def test_a_pause_is_made_up_for_at_no_more_than_twice_the_rate() -> None:
    clocks = Clocks()
    schedule = clocks.schedule(1000)
    run(clocks, schedule, 1.0)
    clocks.sleep(10.0)
    first = run(clocks, schedule, 1.0)
    assert first <= CATCH_UP * 1000 * (1.0 + HICCUP_SECONDS) + CATCH_UP
    # Ten seconds behind, gaining one a second: half-way through it still lags, later it does not.
    run(clocks, schedule, 4.0)
    assert schedule.pause() == TICK_SECONDS
    run(clocks, schedule, 6.0)
    assert run(clocks, schedule, 5.0) == pytest.approx(5000, abs=10)
    assert schedule.skipped_seconds == 0.0


def test_seldom_events_too_are_made_up_for_one_by_one() -> None:
    clocks = Clocks()
    schedule = clocks.schedule(1)
    schedule.due()
    clocks.sleep(10.0)
    assert run(clocks, schedule, 2.0) <= 6


def test_a_long_halt_is_skipped_and_event_times_go_on_from_there() -> None:
    clocks = Clocks()
    schedule = clocks.schedule(100, lag_limit_seconds=30.0)
    gone = run(clocks, schedule, 1.0)
    clocks.sleep(600.0)
    assert schedule.due() > 0
    assert schedule.skipped_seconds == pytest.approx(570.0, abs=0.1)
    # The next event happened 30 seconds ago, not ten minutes ago.
    assert clocks.wall * 1000 - schedule.event_time_ms(gone) == pytest.approx(30_000, abs=100)


def test_event_times_follow_a_wall_clock_that_went_on_while_the_machine_slept() -> None:
    clocks = Clocks()
    schedule = clocks.schedule(100)
    gone = run(clocks, schedule, 1.0)
    clocks.wall += 3600.0
    clocks.sleep(0.01)
    gone += schedule.due()
    assert clocks.wall * 1000 - schedule.event_time_ms(gone) == pytest.approx(0, abs=20)


def test_a_clock_that_is_slewed_a_little_moves_nothing() -> None:
    clocks = Clocks()
    schedule = clocks.schedule(100)
    clocks.sleep(1.0)
    clocks.wall += 0.4
    schedule.due()
    assert schedule.event_time_ms(100) == schedule.anchor_ms + 1000


def test_pauses_are_short_enough_to_see_a_stop_and_long_enough_to_rest() -> None:
    clocks = Clocks()
    for rate in (0.01, 1.0, 100.0, 5000.0):
        schedule = clocks.schedule(rate)
        schedule.due()
        assert TICK_SECONDS <= schedule.pause() <= LONGEST_PAUSE_SECONDS
