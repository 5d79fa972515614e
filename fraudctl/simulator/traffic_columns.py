"""The events of `Traffic` made many at a time, in columns: the same draws from the same generator.

`Random` and numpy's MT19937 are the same generator: given the state of the first, the second continues with
the same words of 32 bits. An event takes as many words as its kind needs, so the start of each event is found
first; then every draw of every event is computed at once. `traffic.py` is the specification, and a test
compares both.
"""

from itertools import chain
from random import Random

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from fraudctl.config.model import EventsSettings, ProducerSettings
from fraudctl.simulator.batch import Batch, Names
from fraudctl.simulator.draws import Ints
from fraudctl.simulator.population import CHANNELS, FOREIGN, Population, populate
from fraudctl.simulator.traffic import (
    FAVOURITE_SHARE,
    HALF,
    PER_DEVIATION,
    STREAM,
    SUSPICIOUS_AMOUNT_SHARE,
    exponential,
)
from fraudctl.simulator.wire import Wire

Floats = npt.NDArray[np.float64]
Raw = npt.NDArray[np.uint32]

# Number of words that an event takes: two for each number in [0, 1), three for its id.
_ID_WORDS = 3
_USUAL = 11 * 2 + _ID_WORDS
_FAR_ABOVE = 9 * 2 + _ID_WORDS
_ABROAD = 8 * 2 + _ID_WORDS
# Offsets, in words, of the numbers that decide the kind of an event.
_SUSPICIOUS_AT = 3 * 2
_FAR_ABOVE_AT = 6 * 2
# Number of lines that are made in advance.
BLOCK = 2_048
# Number of events that one step searches for the next suspicious one.
_STEP = 512


class TrafficColumns:
    """The traffic of one seed; `take` continues where the last call ended."""

    def __init__(self, producer: ProducerSettings, events: EventsSettings, seed: int) -> None:
        """Draw the population, and start the stream of the seed."""
        people = populate(producer, events, seed)
        self._tables = _Tables(people)
        self._fraud_rate = producer.fraud_rate
        self._generator = _generator(seed + STREAM)
        # Words drawn and not used yet.
        self._words: Raw = np.empty(0, dtype=np.uint32)
        self.names = Names(
            cards=tuple(card.card_id for card in people.cards),
            merchants=tuple(merchant.merchant_id for merchant in chain(*people.merchants)),
            categories=people.categories,
            countries=self._tables.countries,
            channels=CHANNELS,
            currency=events.currency,
            scenarios=("",),
        )

    def take(self, count: int) -> Batch:
        """Return the next `count` events (at least one), each with the time zero."""
        missing = count * _USUAL - len(self._words)
        if missing > 0:
            fresh = self._generator.random_raw(missing).astype(np.uint32)
            self._words = np.concatenate([self._words, fresh])
        words = self._words
        starts, lengths, used = _starts(words, count, self._fraud_rate)
        batch = self._batch(words, starts, lengths)
        self._words = words[used:]
        return batch

    def _batch(self, words: Raw, starts: Ints, lengths: Ints) -> Batch:
        tables = self._tables
        # A suspicious event has fewer draws: the rest of its row belongs to the next event and is not used.
        chance = _numbers(sliding_window_view(words, _USUAL - _ID_WORDS)[starts])
        category = np.minimum(np.searchsorted(tables.bounds, chance[0], side="right"), len(tables.bounds) - 1)
        card = (chance[1] * chance[2] * len(tables.spending)).astype(np.int64)
        merchant, country, channel, amount = tables.usual(category, card, chance)
        strange = np.flatnonzero(lengths != _USUAL)
        if len(strange):
            columns = tables.suspicious(category[strange], chance[:, strange])
            for column, values in zip((merchant, country, channel, amount), columns, strict=True):
                column[strange] = values
        high, low = _ids(words, starts + lengths - _ID_WORDS)
        zeros = np.zeros(len(starts), dtype=np.int64)
        return Batch(zeros, card, merchant, category, country, channel, amount, high, low, zeros)


class TrafficLines:
    """The traffic of one seed as encoded events without times, with their keys."""

    def __init__(self, producer: ProducerSettings, events: EventsSettings, seed: int) -> None:
        """Start the stream of the seed and encode its first lines."""
        self._columns = TrafficColumns(producer, events, seed)
        self._wire = Wire(self._columns.names)
        self._cards = [card.encode() for card in self._columns.names.cards]
        # The first lines take the longest, so they are made before any clock starts.
        self._fill()

    def take(self, most: int) -> tuple[list[bytes], list[bytes]]:
        """Return keys and lines of the next events: at least one and at most `most`."""
        if self._next == len(self._lines):
            self._fill()
        part = slice(self._next, self._next + most)
        keys, lines = self._keys[part], self._lines[part]
        self._next += len(lines)
        return keys, lines

    def _fill(self) -> None:
        batch = self._columns.take(BLOCK)
        self._keys = [self._cards[card] for card in batch.card.tolist()]
        self._lines = self._wire.values(batch)
        self._next = 0


class _Tables:
    """The population as arrays; merchants are numbered category by category."""

    def __init__(self, people: Population) -> None:
        merchants = list(chain(*people.merchants))
        self.countries = tuple(dict.fromkeys([*(shop.country for shop in merchants), *FOREIGN]))
        number = {country: place for place, country in enumerate(self.countries)}
        self.country_of = np.array([number[shop.country] for shop in merchants])
        self.foreign = np.array([number[country] for country in FOREIGN])
        self.bounds = np.array(people.bounds)
        sizes = np.array([len(group) for group in people.merchants])
        self.sizes, self.first = sizes, np.cumsum(sizes) - sizes
        by_id = {shop.merchant_id: place for place, shop in enumerate(merchants)}
        favourites = (by_id[shop.merchant_id] for card in people.cards for shop in chain(*card.favourites))
        self.favourites = np.fromiter(favourites, dtype=np.int64).reshape(len(people.cards), len(sizes), -1)
        self.spending = np.array([card.spending for card in people.cards])
        self.usual_minor = np.array([profile.usual_minor for profile in people.profiles])
        self.spread = np.array([profile.spread for profile in people.profiles])
        self.channel_bounds = np.array([profile.channel_bounds for profile in people.profiles])

    def usual(self, category: Ints, card: Ints, chance: Floats) -> tuple[Ints, Ints, Ints, Ints]:
        """Return merchant, country, channel and amount of usual events."""
        merchant = np.where(
            chance[4] < FAVOURITE_SHARE,
            self.favourites[card, category, (chance[5] * self.favourites.shape[2]).astype(np.int64)],
            self._any_merchant(category, chance[5]),
        )
        bounds = self.channel_bounds[category]
        channel = np.where(chance[6] < bounds[:, 0], 0, np.where(chance[6] < bounds[:, 1], 1, 2))
        deviation = (chance[7] + chance[8] + chance[9] + chance[10] - HALF) * PER_DEVIATION
        amount = (
            self.usual_minor[category] * self.spending[card] * exponential(self.spread[category] * deviation)
        )
        return merchant, self.country_of[merchant], channel, np.maximum(1, amount.astype(np.int64))

    def suspicious(self, category: Ints, chance: Floats) -> tuple[Ints, Ints, Ints, Ints]:
        """Return merchant, country, channel and amount of suspicious events."""
        far_above = chance[6] < SUSPICIOUS_AMOUNT_SHARE
        factor = np.where(far_above, 25.0 + 45.0 * chance[7], 2.0 + 3.0 * chance[7])
        channel = np.where(far_above, (chance[8] * len(CHANNELS)).astype(np.int64), CHANNELS.index("ecom"))
        country = self.foreign[(chance[5] * len(FOREIGN)).astype(np.int64)]
        amount = (self.usual_minor[category] * factor).astype(np.int64)
        return self._any_merchant(category, chance[4]), country, channel, amount

    def _any_merchant(self, category: Ints, chance: Floats) -> Ints:
        place: Ints = self.first[category] + (chance * self.sizes[category]).astype(np.int64)
        return place


def _generator(seed: int) -> np.random.MT19937:
    """Return a generator that gives the words of `Random(seed)`."""
    _, state, _ = Random(seed).getstate()
    generator = np.random.MT19937()
    generator.state = {
        "bit_generator": "MT19937",
        "state": {"key": np.array(state[:-1], dtype=np.uint32), "pos": state[-1]},
    }
    return generator


def _starts(words: Raw, count: int, fraud_rate: float) -> tuple[Ints, Ints, int]:
    """Return the first word of each event, its number of words, and the number of words of all events."""
    # One comparison of whole numbers excludes almost all events that are not suspicious.
    maybe = words <= np.uint32(min((1 << 32) - 1, (int(fraud_rate * (1 << 27)) << 5) + 31))
    starts = np.empty(count, dtype=np.int64)
    lengths = np.full(count, _USUAL, dtype=np.int64)
    begin = done = 0
    while done < count:
        step = min(_STEP, count - done)
        first = begin + _SUSPICIOUS_AT
        found = maybe[first : first + step * _USUAL : _USUAL]
        usual = int(found.argmax())
        hit = bool(found[usual])
        step = usual + 1 if hit else step
        starts[done : done + step] = begin + np.arange(step) * _USUAL
        done += step
        last = begin + (step - 1) * _USUAL
        begin += step * _USUAL
        if hit and _number(words, last + _SUSPICIOUS_AT) < fraud_rate:
            far_above = _number(words, last + _FAR_ABOVE_AT) < SUSPICIOUS_AMOUNT_SHARE
            lengths[done - 1] = _FAR_ABOVE if far_above else _ABROAD
            begin = last + int(lengths[done - 1])
    return starts, lengths, begin


def _number(words: Raw, at: int) -> float:
    """Return the number in [0, 1) that `Random.random` makes of two words."""
    return ((int(words[at]) >> 5) * 67_108_864.0 + (int(words[at + 1]) >> 6)) / 9_007_199_254_740_992.0


def _numbers(words: Raw) -> Floats:
    """Return the numbers of many events, one row for each draw."""
    high = (words[:, 0::2] >> np.uint32(5)).T.astype(np.float64)
    low = (words[:, 1::2] >> np.uint32(6)).T.astype(np.float64)
    numbers: Floats = (high * 67_108_864.0 + low) * (1.0 / 9_007_199_254_740_992.0)
    return numbers


def _ids(words: Raw, at: Ints) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return the highest 12 and the lowest 62 of the 74 bits that `Random.getrandbits` makes of 3 words."""
    first, second, third = (words[at + place].astype(np.uint64) for place in range(_ID_WORDS))
    high = (second >> np.uint64(30)) | ((third >> np.uint64(22)) << np.uint64(2))
    low = first | ((second & np.uint64((1 << 30) - 1)) << np.uint64(32))
    return high, low
