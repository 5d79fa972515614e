"""Transactions in columns: one array for each field, and the names that the numbers in them stand for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudctl.simulator.draws import Draws, Ints, Words, sorted_places

GENUINE = 0
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Names:
    """The names that the numbers of a batch stand for, by index; `scenarios[0]` is the genuine one."""

    cards: tuple[str, ...]
    merchants: tuple[str, ...]
    categories: tuple[str, ...]
    countries: tuple[str, ...]
    channels: tuple[str, ...]
    currency: str
    scenarios: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """Transactions in columns of equal length; `time_ms` counts from 1970.

    `scenario` is the label: it is never part of an event.
    """

    time_ms: Ints
    card: Ints
    merchant: Ints
    category: Ints
    country: Ints
    channel: Ints
    amount_minor: Ints
    id_high: Words
    id_low: Words
    scenario: Ints

    def __len__(self) -> int:
        """Return the number of transactions."""
        return len(self.time_ms)

    @property
    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """Return all columns, in the order of the fields."""
        return (
            self.time_ms, self.card, self.merchant, self.category, self.country, self.channel,
            self.amount_minor, self.id_high, self.id_low, self.scenario,
        )  # fmt: skip

    @property
    def fraud(self) -> npt.NDArray[np.bool_]:
        """Return a mask of the transactions that are fraud."""
        return np.not_equal(self.scenario, GENUINE)

    def take(self, places: "Ints | npt.NDArray[np.bool_] | slice") -> "Batch":
        """Return the selected transactions, in the given order."""
        return Batch(*(column[places] for column in self.columns))

    def at(self, time_ms: Ints) -> "Batch":
        """Return the transactions with other times."""
        return replace(self, time_ms=time_ms)

    def in_order(self, start_ms: int) -> "Batch":
        """Return the transactions sorted by time; none of them may be before `start_ms`."""
        return self.take(sorted_places(self.time_ms - start_ms))


def joined(batches: Sequence[Batch]) -> Batch:
    """Return one batch of all transactions; there must be at least one batch."""
    if len(batches) == 1:
        return batches[0]
    return Batch(*map(np.concatenate, zip(*(batch.columns for batch in batches), strict=True)))


def with_ids(
    draws: Draws,
    *,
    time_ms: Ints,
    card: Ints,
    merchant: Ints,
    category: Ints,
    country: Ints,
    channel: Ints,
    amount_minor: Ints,
    scenario: "Ints | int" = GENUINE,
) -> Batch:
    """Return a batch with newly drawn ids: 74 random bits each, as many as a UUIDv7 leaves free."""
    count = len(time_ms)
    if isinstance(scenario, int):
        scenario = np.full(count, scenario, dtype=np.int64)
    return Batch(
        time_ms, card, merchant, category, country, channel, amount_minor,
        draws.words(count), draws.words(count), scenario,
    )  # fmt: skip
