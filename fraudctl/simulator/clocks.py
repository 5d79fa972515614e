"""Simulated deliveries moved to real time: shifted by whole days, or stamped one by one as they leave."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fraudctl.simulator.batch import DAY_MS
from fraudctl.simulator.disorder import Deliveries
from fraudctl.simulator.draws import Ints


class Rows:
    """A queue of deliveries that come in several parts."""

    def __init__(self, parts: Iterator[Deliveries]) -> None:
        """Take the deliveries from `parts`, which are in order of arrival."""
        self._parts = parts
        self._part: Deliveries | None = None
        self._at = 0

    def next_arrival_ms(self) -> int | None:
        """Return the arrival time of the next delivery in ms since 1970, or None if there is none."""
        part = self._front()
        return None if part is None else int(part.arrival_ms[self._at])

    def take(self, most: int, before_ms: int | None = None) -> Deliveries | None:
        """Take up to `most` deliveries that arrive before `before_ms`, or None if there are none.

        There may be more of them: one call takes deliveries of one part only.
        """
        part = self._front()
        if part is None:
            return None
        end = min(len(part), self._at + most)
        if before_ms is not None:
            end = min(end, int(np.searchsorted(part.arrival_ms, before_ms)))
        if end <= self._at:
            return None
        taken = part.take(slice(self._at, end))
        self._at = end
        return taken

    def _front(self) -> Deliveries | None:
        while self._part is None or self._at >= len(self._part):
            self._part = next(self._parts, None)
            self._at = 0
            if self._part is None:
                return None
        return self._part


class Stamps:
    """Real times of deliveries: each gets the time at which it leaves, and keeps its simulated lateness.

    A second copy repeats the first one byte for byte, whenever it leaves.
    """

    def __init__(self) -> None:
        """Start without any first copies to repeat."""
        self._first: dict[int, int] = {}

    def at(self, deliveries: Deliveries, now_ms: Ints) -> Deliveries:
        """Return the deliveries as they leave, one at each time of `now_ms` (ms since 1970)."""
        time = now_ms - (deliveries.arrival_ms - deliveries.batch.time_ms)
        ids = deliveries.batch.id_low
        for place in np.flatnonzero(deliveries.twice):
            self._first[int(ids[place])] = int(time[place])
        for place in np.flatnonzero(deliveries.again):
            time[place] = self._first.pop(int(ids[place]))
        return replace(deliveries, batch=deliveries.batch.at(time), arrival_ms=now_ms)


def shifted(deliveries: Deliveries, days: int) -> Deliveries:
    """Return the deliveries moved by whole days; their times of day stay as they are."""
    by_ms = days * DAY_MS
    return replace(
        deliveries,
        batch=deliveries.batch.at(deliveries.batch.time_ms + by_ms),
        arrival_ms=deliveries.arrival_ms + by_ms,
    )


def days_back(start_ms: int, days: int, now_ms: int) -> int:
    """Return the shift in days that lets a simulation of `days` end within the last day before `now_ms`."""
    return (now_ms - start_ms) // DAY_MS - days
