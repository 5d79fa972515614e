"""Hours of simulated traffic in order of arrival, with an exact number of each kind of fault.

The topic must have record timestamps that are the simulated arrival times. The outcome of each message is
known in advance, because lateness depends on event time and arrival time, and both are chosen here. Every
message keeps a margin of `CLEAR_MS` from the lateness bounds.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fraudctl.config.model import EventsSettings, LatenessSettings, ProducerSettings
from fraudctl.events.codec import Transaction, encode
from fraudctl.events.schema import FUTURE, LATE
from fraudctl.simulator.malformed import SHAPES
from fraudctl.simulator.traffic import Traffic, stamp

Fate = Literal["counted", "duplicate", "late", "future", "malformed"]
FATES: tuple[Fate, ...] = get_args(Fate)
Share = Annotated[float, Field(ge=0, le=1)]

MINUTE_MS = 60_000
CLEAR_MS = 5_000
# Longest delay that a network adds to an ordinary event.
ORDINARY_DELAY_MS = 1_500
# Relative traffic by hour of the day, in UTC; the average is 1.
DAY_CURVE = (
    *(0.35, 0.22, 0.16, 0.14, 0.18, 0.35, 0.62, 0.95, 1.15, 1.20, 1.25, 1.42),
    *(1.60, 1.48, 1.25, 1.18, 1.28, 1.52, 1.68, 1.58, 1.45, 1.25, 1.00, 0.74),
)
BURST_MINUTES = 12
BURST_FRAUD_RATE = 0.25
# Start of each fraud burst, as a share of the whole span.
BURST_PLACES = (0.35, 0.75)
# Separates these draws from those of the traffic, for every seed.
_STREAM = 1 << 65


class Message(NamedTuple):
    """A message on its way to the topic.

    `fate` is its outcome. `reason` is the reason of its dead letter, empty if it does not become one.
    """

    key: bytes
    value: bytes
    arrival_ms: int
    fate: Fate
    reason: str = ""


class Faults(BaseModel):
    """Shares of the events that get each kind of fault; an event has at most one fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    duplicates: Share = 0.0
    out_of_order: Share = 0.0
    late: Share = 0.0
    future: Share = 0.0
    malformed: Share = 0.0

    @model_validator(mode="after")
    def _at_most_all(self) -> "Faults":
        if sum(self.shares().values()) > 1:
            raise ValueError("the shares of all faults together exceed the whole")
        return self

    def shares(self) -> dict[str, float]:
        """Return the share of each kind of fault, by name."""
        values: dict[str, float] = self.model_dump()
        return values


DEMO_FAULTS = Faults(duplicates=0.02, out_of_order=0.05, late=0.01, future=0.003, malformed=0.005)


@dataclass(frozen=True)
class Arrivals:
    """An iterable of messages in order of arrival; every iteration yields the same ones.

    `plan` holds the number of events of each minute; `start_ms` counts from 1970.
    """

    producer: ProducerSettings
    events: EventsSettings
    lateness: LatenessSettings
    faults: Faults
    seed: int
    start_ms: int
    plan: tuple[int, ...]

    @property
    def expected(self) -> dict[Fate, int]:
        """Return the exact number of messages by outcome, before the first one is made."""
        kinds = self._kinds()
        return {
            "counted": kinds["plain"] + kinds["out_of_order"] + kinds["duplicates"],
            "duplicate": kinds["duplicates"],
            "late": kinds["late"],
            "future": kinds["future"],
            "malformed": kinds["malformed"],
        }

    def __iter__(self) -> Iterator[Message]:
        """Yield the messages in order of arrival."""
        # A message can leave once none of the following ones can arrive before it.
        waiting: list[tuple[int, int, Message]] = []
        for number, (now_ms, message) in enumerate(self._unordered()):
            while waiting and waiting[0][0] <= now_ms:
                yield heapq.heappop(waiting)[2]
            heapq.heappush(waiting, (message.arrival_ms, number, message))
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _kinds(self) -> Counter[str]:
        total = sum(self.plan)
        kinds = Counter({kind: int(share * total) for kind, share in self.faults.shares().items()})
        kinds["plain"] = total - kinds.total()
        return kinds

    def _unordered(self) -> Iterator[tuple[int, Message]]:
        """Yield each message with the scheduled time of its event in ms; it arrives no earlier than that."""
        traffic = Traffic(self.producer, self.events, self.seed)
        chance = Random(self.seed + _STREAM).random
        kinds = self._kinds()
        shape = 0
        for minute, events in enumerate(self.plan):
            rate = BURST_FRAUD_RATE if _in_burst(minute, len(self.plan)) else self.producer.fraud_rate
            for place in range(events):
                moment = self.start_ms + int((minute + (place + chance()) / events) * MINUTE_MS)
                event = traffic.event(rate)
                kind = _draw(kinds, chance())
                if kind == "malformed":
                    yield moment, _malformed(stamp(event, moment), moment, shape)
                    shape += 1
                else:
                    for message in self._messages(kind, event, moment, chance()):
                        yield moment, message

    def _messages(self, kind: str, event: Transaction, moment: int, chance: float) -> Iterator[Message]:
        late_ms = self.lateness.late_seconds * 1000
        future_ms = self.lateness.future_seconds * 1000
        delay = int(chance * min(ORDINARY_DELAY_MS, late_ms // 4))
        if kind == "late":
            before = late_ms + CLEAR_MS + int(chance * 10 * MINUTE_MS)
            yield _message(stamp(event, moment - before), moment, "late", LATE)
        elif kind == "future":
            ahead = future_ms + CLEAR_MS + int(chance * 5 * MINUTE_MS)
            yield _message(stamp(event, moment + ahead), moment, "future", FUTURE)
        elif kind == "out_of_order":
            yield _message(stamp(event, moment), moment + int((0.1 + 0.6 * chance) * late_ms), "counted")
        else:
            first = _message(stamp(event, moment), moment + delay, "counted")
            yield first
            if kind == "duplicates":
                again = first.arrival_ms + 1 + int(chance * 0.4 * late_ms)
                yield first._replace(arrival_ms=again, fate="duplicate")


def arrivals(
    producer: ProducerSettings,
    events: EventsSettings,
    lateness: LatenessSettings,
    *,
    seed: int,
    start_ms: int,
    hours: float,
    events_per_minute: float,
    faults: Faults = DEMO_FAULTS,
) -> Arrivals:
    """Return traffic of `hours` from `start_ms` on, with `events_per_minute` on a whole day's average.

    A broker accepts record timestamps up to an hour ahead of its own clock and counts retention from them, so
    the span should end now or lie in the recent past.
    """
    plan = tuple(
        round(events_per_minute * _of_the_day(start_ms + minute * MINUTE_MS))
        for minute in range(max(1, round(hours * 60)))
    )
    return Arrivals(producer, events, lateness, faults, seed, start_ms, plan)


def _of_the_day(ms: int) -> float:
    """Return the day curve's value at this time, interpolated linearly between hours."""
    hour, into = divmod(ms % (24 * 60 * MINUTE_MS), 60 * MINUTE_MS)
    share = into / (60 * MINUTE_MS)
    return DAY_CURVE[hour] * (1 - share) + DAY_CURVE[(hour + 1) % 24] * share


def _in_burst(minute: int, minutes: int) -> bool:
    return any(0 <= minute - int(place * minutes) < BURST_MINUTES for place in BURST_PLACES)


def _draw(kinds: Counter[str], chance: float) -> str:
    """Draw one kind without replacement, so that in the end each is drawn exactly as often as planned."""
    left = int(chance * kinds.total())
    for kind, count in kinds.items():
        left -= count
        if left < 0:
            kinds[kind] -= 1
            return kind
    raise AssertionError("the urn is empty: more events were drawn than planned")


def _message(transaction: Transaction, arrival_ms: int, fate: Fate, reason: str = "") -> Message:
    return Message(transaction.card_id.encode(), encode(transaction), arrival_ms, fate, reason)


def _malformed(transaction: Transaction, arrival_ms: int, shape: int) -> Message:
    reason, spoil = SHAPES[shape % len(SHAPES)]
    return Message(transaction.card_id.encode(), spoil(transaction), arrival_ms, "malformed", reason)
