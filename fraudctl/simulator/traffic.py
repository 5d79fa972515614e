"""An endless, seeded stream of transactions without times; the times are stamped on afterwards.

Because no draw depends on the time, one seed gives one sequence at every rate and hour, and a digest of that
sequence can be compared between runs.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fraudctl.config.model import EventsSettings, ProducerSettings
from fraudctl.events.codec import Transaction, rfc3339
from fraudctl.events.schema import SCHEMA_VERSION
from fraudctl.simulator.population import (
    CHANNELS,
    FOREIGN,
    Card,
    Merchant,
    Profile,
    category_at,
    pick,
    populate,
)

Number = TypeVar("Number", float, npt.NDArray[np.float64])

# Separates the stream's draws from those of the population, for every seed.
STREAM = 1 << 64
_NO_TIME = rfc3339(0)
# The first 13 characters of an encoded event's id are its time; after the id comes the time as text.
_HEAD = f'{{"schema_version":{SCHEMA_VERSION},"transaction_id":"'
_AFTER_HEAD = len(_HEAD) + 13
_TIME = len(_HEAD) + 36 + len('","event_time":"')
_AFTER_TIME = _TIME + len(_NO_TIME)
# Mean of the sum of four uniform draws, and the inverse of its standard deviation.
HALF = 2.0
PER_DEVIATION = 1.7320508075688772
FAVOURITE_SHARE = 0.75
SUSPICIOUS_AMOUNT_SHARE = 0.75


class Traffic:
    """An endless iterable of events; each has the time zero, in its `event_time` and in its id."""

    def __init__(self, producer: ProducerSettings, events: EventsSettings, seed: int) -> None:
        """Draw the population, and start the stream of the seed."""
        self._population = populate(producer, events, seed)
        self._random = Random(seed + STREAM)
        self._currency = events.currency
        self._fraud_rate = producer.fraud_rate

    def __iter__(self) -> Iterator[Transaction]:
        """Yield events without end, at the fraud rate of the settings."""
        while True:
            yield self.event(self._fraud_rate)

    def event(self, fraud_rate: float) -> Transaction:
        """Return the next event; it is suspicious with the probability `fraud_rate`."""
        chance = self._random.random
        people = self._population
        place = category_at(people.bounds, chance())
        profile = people.profiles[place]
        # The product of two draws is small more often than not: few cards are used a lot.
        card = pick(people.cards, chance() * chance())
        if chance() < fraud_rate:
            merchant, country, channel, amount = self._suspicious(place, profile, card)
        else:
            merchant, country, channel, amount = self._usual(place, profile, card)
        return Transaction(
            transaction_id=_timeless_id(self._random.getrandbits(74)),
            event_time=_NO_TIME,
            card_id=card.card_id,
            merchant_id=merchant.merchant_id,
            category=people.categories[place],
            amount_minor=amount,
            currency=self._currency,
            country=country,
            channel=channel,
        )

    def _usual(self, place: int, profile: Profile, card: Card) -> tuple[Merchant, str, str, int]:
        chance = self._random.random
        shops = card.favourites[place] if chance() < FAVOURITE_SHARE else self._population.merchants[place]
        merchant = pick(shops, chance())
        channel = CHANNELS[category_at((*profile.channel_bounds, 1.0), chance())]
        deviation = (chance() + chance() + chance() + chance() - HALF) * PER_DEVIATION
        amount = profile.usual_minor * card.spending * exponential(profile.spread * deviation)
        return merchant, merchant.country, channel, max(1, int(amount))

    def _suspicious(self, place: int, profile: Profile, card: Card) -> tuple[Merchant, str, str, int]:
        """Draw a payment abroad: mostly far above the usual amount, else a few times as high and online."""
        chance = self._random.random
        merchant = pick(self._population.merchants[place], chance())
        country = pick(FOREIGN, chance())
        if chance() < SUSPICIOUS_AMOUNT_SHARE:
            factor = 25.0 + 45.0 * chance()
            channel = pick(CHANNELS, chance())
        else:
            factor = 2.0 + 3.0 * chance()
            channel = "ecom"
        return merchant, country, channel, int(profile.usual_minor * factor)


def stamp(event: Transaction, event_time_ms: int) -> Transaction:
    """Return the event with its time set to `event_time_ms`; its id begins with that time, as in a UUIDv7."""
    head = f"{event_time_ms:012x}"
    return Transaction(
        transaction_id=f"{head[:8]}-{head[8:]}{event.transaction_id[13:]}",
        event_time=rfc3339(event_time_ms),
        card_id=event.card_id,
        merchant_id=event.merchant_id,
        category=event.category,
        amount_minor=event.amount_minor,
        currency=event.currency,
        country=event.country,
        channel=event.channel,
    )


def stamp_lines(lines: Iterable[bytes], times_ms: Iterable[int]) -> list[bytes]:
    """Return encoded events with these times, given the lines that `encode` makes of them without times."""
    stamped = []
    before, head, time = -1, b"", b""
    for line, time_ms in zip(lines, times_ms, strict=True):
        if time_ms != before:
            before = time_ms
            digits = f"{time_ms:012x}"
            head = f"{_HEAD}{digits[:8]}-{digits[8:]}".encode()
            time = rfc3339(time_ms).encode()
        stamped.append(head + line[_AFTER_HEAD:_TIME] + time + line[_AFTER_TIME:])
    return stamped


class TrafficDigest:
    """A SHA-256 of the events before they get their times: the same for one seed and count at any rate."""

    def __init__(self) -> None:
        """Start the digest without any events."""
        self._hash = hashlib.sha256()

    def add(self, lines: Sequence[bytes]) -> None:
        """Add encoded events."""
        self._hash.update(b"".join(lines))

    def hexdigest(self) -> str:
        """Return the digest of the events so far, as hex."""
        return self._hash.hexdigest()


def _timeless_id(bits: int) -> str:
    """Return a UUIDv7 whose 48 bits of time are zero and whose 74 free bits are `bits`."""
    low = f"{(0b10 << 62) | (bits & ((1 << 62) - 1)):016x}"
    return f"00000000-0000-7{bits >> 62:03x}-{low[:4]}-{low[4:]}"


def exponential(x: Number) -> Number:
    """Return (1 + x/1024)^1024, close to e^x; products of floats are the same everywhere."""
    power = 1.0 + x / 1024.0
    for _ in range(10):
        power = power * power
    return power
