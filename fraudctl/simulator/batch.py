"""Many transactions at once: a column for each field, and the names that the numbers in them stand for."""

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
    """What the numbers of a batch stand for, by place; `scenarios[0]` is the genuine transaction."""

    cards: tuple[str, ...]
    merchants: tuple[str, ...]
    categories: tuple[str, ...]
    countries: tuple[str, ...]
    channels: tuple[str, ...]
    currency: str
    scenarios: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """Rows in columns of one length. `scenario` is the label: it never goes onto the wire."""

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
        return len(self.time_ms)

    @property
    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """All of them, in the order of the fields."""
        return (
            self.time_ms, self.card, self.merchant, self.category, self.country, self.channel,
            self.amount_minor, self.id_high, self.id_low, self.scenario,
        )  # fmt: skip

    @property
    def fraud(self) -> npt.NDArray[np.bool_]:
        return np.not_equal(self.scenario, GENUINE)

    def take(self, places: "Ints | npt.NDArray[np.bool_] | slice") -> "Batch":
        """These rows, in this order."""
        return Batch(*(column[places] for column in self.columns))

    def at(self, time_ms: Ints) -> "Batch":
        """The same rows at other times."""
        return replace(self, time_ms=time_ms)

    def in_order(self, start_ms: int) -> "Batch":
        """By time; `start_ms` lies before every one of them."""
        return self.take(sorted_places(self.time_ms - start_ms))


def joined(batches: Sequence[Batch]) -> Batch:
    """One batch of all rows; there must be at least one batch."""
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
    """A batch whose ids are drawn here: 74 bits each, as a UUIDv7 leaves free."""
    count = len(time_ms)
    if isinstance(scenario, int):
        scenario = np.full(count, scenario, dtype=np.int64)
    return Batch(
        time_ms, card, merchant, category, country, channel, amount_minor,
        draws.words(count), draws.words(count), scenario,
    )  # fmt: skip
