"""Network delays, wrong clocks and faults for whole columns of a simulation, with exact counts.

Outcomes follow from the times, not from the fault that was drawn: a message is late if it arrives more than
`late_seconds` after its event time, whatever delayed it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from fraudctl.config.closed import Closed, Number, WayError, Whole
from fraudctl.config.model import LatenessSettings
from fraudctl.simulator.arrivals import CLEAR_MS, FATES, MINUTE_MS, ORDINARY_DELAY_MS, Fate
from fraudctl.simulator.batch import DAY_MS, Batch, joined
from fraudctl.simulator.draws import Draws, Ints, sorted_places
from fraudctl.simulator.malformed import SHAPES
from fraudctl.simulator.wire import Wire

Share = Annotated[Number, Field(ge=0, le=1)]
Times = Annotated[Whole, Field(ge=0, le=1000)]
_SHARES = ("duplicates", "out_of_order", "late", "future", "clock_skew", "malformed")
_INTACT = -1


class Disorder(Closed):
    """Shares of the transactions that get one fault each, and numbers of disturbances of the flow per day."""

    # Sent twice.
    duplicates: Share = 0.0
    # Overtaken by others, but still in time.
    out_of_order: Share = 0.0
    # Delayed for longer than is allowed.
    late: Share = 0.0
    # From a clock that is ahead by more than is allowed.
    future: Share = 0.0
    # From a clock that is wrong in either direction, within what is allowed.
    clock_skew: Share = 0.0
    # Bytes that are not a transaction.
    malformed: Share = 0.0
    # Nothing arrives for a while, and then everything at once.
    pauses_per_day: Times = 0
    pause_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 60
    # The traffic of `burst_factor` x `burst_seconds` happens within `burst_seconds`; a lull follows.
    bursts_per_day: Times = 0
    burst_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 60
    burst_factor: Annotated[Whole, Field(ge=2, le=1000)] = 10

    @model_validator(mode="after")
    def _possible(self) -> "Disorder":
        if sum(getattr(self, name) for name in _SHARES) > 1:
            raise WayError(
                "the shares of all faults together exceed the whole",
                (max(_SHARES, key=lambda name: float(getattr(self, name))),),
            )
        if self.pauses_per_day * self.pause_seconds * 1000 > DAY_MS:
            raise WayError("the pauses are longer than the day", ("pauses_per_day",))
        if self.bursts_per_day * self.burst_seconds * self.burst_factor * 1000 > DAY_MS:
            raise WayError("the bursts take more traffic than a day has", ("bursts_per_day",))
        return self


@dataclass(frozen=True)
class Deliveries:
    """Messages in order of arrival; `twice` flags first copies of messages sent twice, `again` second copies.

    `shape` is the index in `SHAPES` of a malformed message, and -1 for any other.
    """

    batch: Batch
    arrival_ms: Ints
    twice: npt.NDArray[np.bool_]
    again: npt.NDArray[np.bool_]
    shape: Ints

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.arrival_ms)

    def take(self, places: "Ints | npt.NDArray[np.bool_] | slice") -> "Deliveries":
        """Return the selected messages, in the given order."""
        return Deliveries(
            self.batch.take(places),
            self.arrival_ms[places],
            self.twice[places],
            self.again[places],
            self.shape[places],
        )

    def fates(self, lateness: LatenessSettings) -> Ints:
        """Return the outcome of each message, as an index in `FATES`."""
        lag = self.arrival_ms - self.batch.time_ms
        conditions: list[tuple[Fate, npt.NDArray[np.bool_]]] = [
            ("malformed", self.shape != _INTACT),
            ("late", lag > lateness.late_seconds * 1000),
            ("future", -lag > lateness.future_seconds * 1000),
            ("duplicate", self.again),
        ]
        return np.select(
            [holds for _, holds in conditions],
            [FATES.index(fate) for fate, _ in conditions],
            FATES.index("counted"),
        )

    def values(self, wire: Wire) -> list[bytes]:
        """Return the values of the records, malformed ones included."""
        values = wire.values(self.batch)
        for place in np.flatnonzero(self.shape != _INTACT):
            values[place] = SHAPES[self.shape[place]][1](wire.transaction(self.batch, int(place)))
        return values


def undisturbed(batch: Batch) -> Deliveries:
    """Return deliveries in which every transaction arrives once, at its event time."""
    never = np.zeros(len(batch), dtype=np.bool_)
    return Deliveries(batch, batch.time_ms, never, never, np.full(len(batch), _INTACT, dtype=np.int64))


class Network:
    """A network that carries the days of one simulation; once all are taken, `faults` holds exact counts."""

    def __init__(self, disorder: Disorder, lateness: LatenessSettings, start_ms: int, seed: int) -> None:
        """Set up the network of one simulation.

        Args:
            disorder: faults and disturbances to inject.
            lateness: bounds from which delays and clock errors are measured.
            start_ms: midnight of the first day, in ms since 1970.
            seed: seed of the network's draws.
        """
        self._disorder = disorder
        self._late_ms = lateness.late_seconds * 1000
        self._future_ms = lateness.future_seconds * 1000
        self._start_ms = start_ms
        self._seed = seed
        self._due = dict.fromkeys(_SHARES, 0.0)
        self._shapes = 0
        self.faults = dict.fromkeys((*_SHARES, "held_back", "in_bursts"), 0)

    def carry(self, days: Iterable[Batch]) -> Iterator[Deliveries]:
        """Yield the deliveries of each day, and finally those still on their way after the last day."""
        waiting: Deliveries | None = None
        for day, batch in enumerate(days):
            sent = self._sent(batch, day)
            waiting = sent if waiting is None else _joined(waiting, sent)
            waiting = waiting.take(sorted_places(waiting.arrival_ms - self._start_ms))
            # Nothing of tomorrow can arrive before tomorrow.
            ready = int(np.searchsorted(waiting.arrival_ms, self._midnight(day + 1)))
            yield waiting.take(slice(0, ready))
            waiting = waiting.take(slice(ready, None))
        if waiting is not None:
            yield waiting

    def _midnight(self, day: int) -> int:
        return self._start_ms + day * DAY_MS

    def _sent(self, batch: Batch, day: int) -> Deliveries:
        draws = Draws(self._seed, "network", day)
        batch = self._in_bursts(batch, day, draws)
        count = len(batch)
        kinds = self._kinds(count, draws)
        delay = draws.below(min(ORDINARY_DELAY_MS, self._late_ms // 4), count)
        shift = np.zeros(count, dtype=np.int64)
        chance = draws.uniform(count)

        def spread(kind: str, low_ms: float, high_ms: float) -> Ints:
            return (low_ms + chance[kinds[kind]] * (high_ms - low_ms)).astype(np.int64)

        late, future = self._late_ms, self._future_ms
        delay[kinds["out_of_order"]] = spread("out_of_order", 0.1 * late, 0.7 * late)
        delay[kinds["late"]] = spread("late", late + CLEAR_MS, late + CLEAR_MS + 10 * MINUTE_MS)
        shift[kinds["future"]] = spread("future", future + CLEAR_MS, future + CLEAR_MS + 5 * MINUTE_MS)
        shift[kinds["clock_skew"]] = spread("clock_skew", -0.8 * late, 0.8 * future)
        # Without a delay, the error of the clock alone decides how far ahead the event time is.
        delay[kinds["future"]] = 0
        arrival = batch.time_ms + delay
        shape = np.full(count, _INTACT, dtype=np.int64)
        spoiled = kinds["malformed"]
        shape[spoiled] = (self._shapes + np.arange(len(spoiled))) % len(SHAPES)
        self._shapes += len(spoiled)
        batch = batch.at(batch.time_ms + shift)
        never = np.zeros(count, dtype=np.bool_)
        twice = never.copy()
        twice[kinds["duplicates"]] = True
        once = Deliveries(batch, arrival, twice, never, shape)
        copies = once.take(kinds["duplicates"])
        later = copies.arrival_ms + 1 + spread("duplicates", 0.0, 0.4 * late)
        copies = replace(copies, arrival_ms=later, twice=copies.again, again=copies.twice)
        return self._held_back(_joined(once, copies), day, draws)

    def _kinds(self, count: int, draws: Draws) -> dict[str, Ints]:
        """Choose the rows of each fault, so many that the shares hold over all days together."""
        order = draws.order(count)
        kinds, at = {}, 0
        for name in _SHARES:
            self._due[name] += count * getattr(self._disorder, name)
            number = min(int(self._due[name]), count - at)
            self._due[name] -= number
            self.faults[name] += number
            kinds[name] = np.sort(order[at : at + number])
            at += number
        return kinds

    def _in_bursts(self, batch: Batch, day: int, draws: Draws) -> Batch:
        """Compress the traffic after random times of the day; the order of events stays as it is."""
        factor = self._disorder.burst_factor
        length = self._disorder.burst_seconds * 1000 * factor
        time = batch.time_ms.copy()
        for begin in self._moments(self._disorder.bursts_per_day, length, day, draws):
            inside = (batch.time_ms >= begin) & (batch.time_ms < begin + length)
            time[inside] = begin + (batch.time_ms[inside] - begin) // factor
            self.faults["in_bursts"] += int(inside.sum())
        return batch.at(time)

    def _held_back(self, sent: Deliveries, day: int, draws: Draws) -> Deliveries:
        """Move every arrival during a pause to the end of the pause."""
        length = self._disorder.pause_seconds * 1000
        arrival = sent.arrival_ms.copy()
        for begin in self._moments(self._disorder.pauses_per_day, length, day, draws):
            inside = (sent.arrival_ms >= begin) & (sent.arrival_ms < begin + length)
            arrival[inside] = begin + length
            self.faults["held_back"] += int(inside.sum())
        return replace(sent, arrival_ms=arrival)

    def _moments(self, times: int, length_ms: int, day: int, draws: Draws) -> Iterator[int]:
        """Yield random times, one in each of `times` equal parts of the day.

        Each is at least `length_ms` before the end of its part.
        """
        for number, chance in enumerate(draws.uniform(times).tolist()):
            part = DAY_MS // times
            yield self._midnight(day) + number * part + int(chance * (part - length_ms))


def _joined(first: Deliveries, second: Deliveries) -> Deliveries:
    return Deliveries(
        joined([first.batch, second.batch]),
        np.concatenate([first.arrival_ms, second.arrival_ms]),
        np.concatenate([first.twice, second.twice]),
        np.concatenate([first.again, second.again]),
        np.concatenate([first.shape, second.shape]),
    )
