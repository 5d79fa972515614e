"""An absolute schedule of events, so that small delays never add up.

Event number i is due i/rate seconds after the start, and that is its event time.
"""

import math
import time
from collections.abc import Callable

import numpy as np

Clock = Callable[[], float]

# Interval at which a loop checks the schedule when events are due more often than that.
TICK_SECONDS = 0.005
# Number of events that go at once where only the broker limits the rate.
UNTHROTTLED_EVENTS = 1_000
# A loop that waits for a rare event still wakes up this often, to notice a stop request.
LONGEST_PAUSE_SECONDS = 0.25
# After a delay up to this long, everything due goes at once; after a longer one, at twice the rate.
HICCUP_SECONDS = 0.1
CATCH_UP = 2.0
# The wall clock may differ this much from the monotonic one before event times follow it.
STEP_SECONDS = 1.0


class Schedule:
    """A schedule at a fixed rate, which says how many events are due and gives each its event time.

    Events missed during a long halt (a broker that was away, a machine that slept) would arrive too late to
    be counted. So the schedule skips what lies further behind than `lag_limit_seconds`, and event times go on
    from there.
    """

    def __init__(
        self,
        rate: float,
        *,
        lag_limit_seconds: float,
        monotonic: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        """Start the schedule now.

        Args:
            rate: events per second.
            lag_limit_seconds: longest lag that is still caught up.
            monotonic: clock that measures intervals, in seconds.
            wall: clock that gives event times, in seconds since 1970.
        """
        self._rate = rate
        self._lag_limit = lag_limit_seconds
        self._monotonic = monotonic
        self._wall = wall
        self._start = monotonic()
        self._wall_start = wall()
        self._last_look = self._start
        self._released = 0
        # Number of events that may go at once: grows at the catch-up rate for at most HICCUP_SECONDS.
        self._allowance = 1.0
        self.skipped_seconds = 0.0
        self._clock_step = 0.0

    @property
    def anchor_ms(self) -> int:
        """Return the event time of event number zero, in ms since 1970."""
        return int(self._wall_start * 1000)

    @property
    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return self._monotonic() - self._start

    def due(self) -> int:
        """Return how many more events may go now, and count them as gone."""
        now = self._monotonic()
        self._follow_wall_clock(now)
        lag = now - self._due_at(self._released)
        if lag > self._lag_limit:
            self.skipped_seconds += lag - self._lag_limit
        overdue = math.floor((now - self._due_at(0)) * self._rate) + 1 - self._released
        self._allowance = min(
            max(1.0, CATCH_UP * self._rate * HICCUP_SECONDS),
            self._allowance + CATCH_UP * self._rate * (now - self._last_look),
        )
        self._last_look = now
        count = max(0, min(overdue, int(self._allowance)))
        self._allowance -= count
        self._released += count
        return count

    def pause(self) -> float:
        """Return how many seconds to wait before `due` is worth calling again."""
        until_due = self._due_at(self._released) - self._monotonic()
        until_allowed = (1.0 - self._allowance) / (CATCH_UP * self._rate)
        return min(LONGEST_PAUSE_SECONDS, max(TICK_SECONDS, until_due, until_allowed))

    def event_time_ms(self, number: int) -> int:
        """Return the event time of event `number`, in ms since 1970."""
        return self.event_times_ms(number, 1)[0]

    def event_times_ms(self, first: int, count: int) -> list[int]:
        """Return the event times of `count` events from number `first` on, in ms since 1970."""
        seconds = np.arange(first, first + count) / self._rate + self.skipped_seconds + self._clock_step
        times: list[int] = (self._wall_start * 1000 + seconds * 1000).astype(np.int64).tolist()
        return times

    def _due_at(self, number: int) -> float:
        return self._start + self.skipped_seconds + number / self._rate

    def _follow_wall_clock(self, now: float) -> None:
        """Let event times follow the wall clock when it is set, or went on while the machine slept."""
        step = (self._wall() - self._wall_start) - (now - self._start)
        if abs(step - self._clock_step) > STEP_SECONDS:
            self._clock_step = step


class Unthrottled:
    """A schedule without a rate: events are always due, and their event time is when they leave."""

    def __init__(self, *, monotonic: Clock = time.monotonic, wall: Clock = time.time) -> None:
        """Start the schedule now; the clocks are those of `Schedule`."""
        self._monotonic = monotonic
        self._wall = wall
        self._start = monotonic()
        self._now_ms = self.anchor_ms = int(wall() * 1000)
        self.skipped_seconds = 0.0

    @property
    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return self._monotonic() - self._start

    def due(self) -> int:
        """Return how many events may go now, all of them with the present time as their event time."""
        self._now_ms = int(self._wall() * 1000)
        return UNTHROTTLED_EVENTS

    def pause(self) -> float:
        """Return 0: there is nothing to wait for."""
        return 0.0

    def event_times_ms(self, first: int, count: int) -> list[int]:
        """Return the event times of `count` events, in ms since 1970; their numbers do not matter."""
        del first
        return [self._now_ms] * count


def schedule(rate: float | None, *, lag_limit_seconds: float) -> Schedule | Unthrottled:
    """Return the schedule for a rate, or for no rate at all; its clock starts now."""
    return Unthrottled() if rate is None else Schedule(rate, lag_limit_seconds=lag_limit_seconds)
