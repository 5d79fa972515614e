"""Simulated deliveries put on real clocks: shifted by whole days, or stamped one by one as they leave."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fraudctl.simulator.batch import DAY_MS
from fraudctl.simulator.disorder import Deliveries
from fraudctl.simulator.draws import Ints


class Rows:
    """Deliveries of many parts as one row that is taken from its front."""

    def __init__(self, parts: Iterator[Deliveries]) -> None:
        self._parts = parts
        self._part: Deliveries | None = None
        self._at = 0

    def next_arrival_ms(self) -> int | None:
        """When the next one arrives; None when there is none."""
        part = self._front()
        return None if part is None else int(part.arrival_ms[self._at])

    def take(self, most: int, before_ms: int | None = None) -> Deliveries | None:
        """Up to `most` that arrive before a moment, not always all there are; None if there is none."""
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
    """Gives each delivery the moment at which it really leaves; how late it is stays as simulated.

    A second copy is the first one again, byte for byte, whenever it leaves.
    """

    def __init__(self) -> None:
        self._first: dict[int, int] = {}

    def at(self, deliveries: Deliveries, now_ms: Ints) -> Deliveries:
        """The deliveries as they leave, one at each of these moments."""
        time = now_ms - (deliveries.arrival_ms - deliveries.batch.time_ms)
        ids = deliveries.batch.id_low
        for place in np.flatnonzero(deliveries.twice):
            self._first[int(ids[place])] = int(time[place])
        for place in np.flatnonzero(deliveries.again):
            time[place] = self._first.pop(int(ids[place]))
        return replace(deliveries, batch=deliveries.batch.at(time), arrival_ms=now_ms)


def shifted(deliveries: Deliveries, days: int) -> Deliveries:
    """The same some days later: hours stay as they are."""
    by_ms = days * DAY_MS
    return replace(
        deliveries,
        batch=deliveries.batch.at(deliveries.batch.time_ms + by_ms),
        arrival_ms=deliveries.arrival_ms + by_ms,
    )


def days_back(start_ms: int, days: int, now_ms: int) -> int:
    """By how many days a simulation of `days` must be shifted to end just before `now_ms`."""
    return (now_ms - start_ms) // DAY_MS - days
