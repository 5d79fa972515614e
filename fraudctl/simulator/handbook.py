"""The simulator published with the Fraud Detection Handbook, rewritten for whole columns.

Its customers live on a map of 100 by 100 and use the terminals within a radius. There are three kinds of
fraud: an amount above 220 is fraud; two terminals a day are compromised, and every payment there is fraud
for 28 days; three customers a day leak their data, and a third of their transactions is fraud for 14 days,
with five times the amount. If a transaction falls under two kinds, the later one in this list counts.

One thing differs from the original: the customers' mean numbers of transactions a day are spread evenly over
(0, 4) instead of drawn independently, so that every seed gives about the same number of transactions.
"""

import math
from dataclasses import dataclass

import numpy as np

from fraudctl.config.model import EventsSettings, ProducerSettings
from fraudctl.simulator.batch import DAY_MS, Batch, Names, with_ids
from fraudctl.simulator.draws import Draws, Floats, Ints
from fraudctl.simulator.preset import HandbookPreset

SIDE = 100.0
AMOUNT_MEAN = (5.0, 100.0)
MOST_A_DAY = 4.0
NOON_S, SPREAD_S = 43_200.0, 20_000.0
LARGE_MINOR = 22_000
TERMINALS_A_DAY, TERMINAL_DAYS = 2, 28
CUSTOMERS_A_DAY, CUSTOMER_DAYS, ONE_IN, TIMES = 3, 14, 3, 5
SCENARIOS = ("genuine", "large_amount", "compromised_terminal", "leaked_customer")
LARGE, TERMINAL, CUSTOMER = 1, 2, 3


@dataclass(frozen=True)
class _World:
    """The customers in columns, with the terminals that each of them can reach.

    A customer's terminals are `size` entries of `reachable`, from index `start` on.
    """

    amount_mean: Floats
    a_day: Floats
    start: Ints
    size: Ints
    reachable: Ints


def handbook(
    preset: HandbookPreset, producer: ProducerSettings, events: EventsSettings, seed: int
) -> tuple[Names, Batch]:
    """Return the names and the whole data set, in order of time."""
    world = _world(preset, seed)
    shares = np.array([producer.category_weights.get(name, 0.0) for name in events.categories])
    bounds = np.cumsum(shares / math.fsum(shares.tolist()))
    sells = np.searchsorted(
        bounds[:-1], Draws(seed, "handbook-categories").uniform(preset.terminals), side="right"
    )
    names = Names(
        cards=tuple(f"card-{number:06d}" for number in range(preset.customers)),
        merchants=tuple(f"terminal-{number:05d}" for number in range(preset.terminals)),
        categories=events.categories,
        countries=("BE",),
        channels=("chip",),
        currency=events.currency,
        scenarios=SCENARIOS,
    )
    return names, _with_fraud(_genuine(preset, world, sells.astype(np.int64), seed), preset, seed)


def _world(preset: HandbookPreset, seed: int) -> _World:
    draws = Draws(seed, "handbook-customers")
    count = preset.customers
    x, y = draws.between(0.0, SIDE, count), draws.between(0.0, SIDE, count)
    amount_mean = draws.between(*AMOUNT_MEAN, count)
    a_day = (draws.order(count) + draws.uniform(count)) * (MOST_A_DAY / count)
    there = Draws(seed, "handbook-terminals")
    terminal_x = there.between(0.0, SIDE, preset.terminals)
    terminal_y = there.between(0.0, SIDE, preset.terminals)
    reach = []
    for place in range(count):
        east, north = terminal_x - x[place], terminal_y - y[place]
        reach.append(np.flatnonzero(east * east + north * north < preset.radius * preset.radius))
    size = np.array([len(terminals) for terminals in reach], dtype=np.int64)
    return _World(amount_mean, a_day, np.cumsum(size) - size, size, np.concatenate(reach))


def _genuine(preset: HandbookPreset, world: _World, sells: Ints, seed: int) -> Batch:
    """Return the customers' payments; a customer without a terminal within reach pays nothing."""
    draws = Draws(seed, "handbook-genuine")
    mean = np.where(world.size > 0, world.a_day, 0.0)
    counts = draws.poisson(np.tile(mean, preset.days))
    card = np.repeat(np.tile(np.arange(preset.customers), preset.days), counts)
    day = np.repeat(np.repeat(np.arange(preset.days), preset.customers), counts)
    second = (NOON_S + draws.normal(len(card)) * SPREAD_S).astype(np.int64)
    # The published code also leaves out times beyond the day: about 3 in 100.
    inside = (second > 0) & (second < DAY_MS // 1000)
    card, day, second = card[inside], day[inside], second[inside]
    usual = world.amount_mean[card]
    amount = usual + draws.normal(len(card)) * (usual / 2)
    instead = draws.uniform(len(card)) * (usual * 2)
    amount = np.where(amount < 0, instead, amount)
    place = world.start[card] + draws.below(world.size[card], len(card))
    terminal = world.reachable[place]
    only = np.zeros(len(card), dtype=np.int64)
    return with_ids(
        draws,
        time_ms=preset.start_ms + day * DAY_MS + second * 1000 + draws.below(1000, len(card)),
        card=card,
        merchant=terminal,
        category=sells[terminal],
        country=only,
        channel=only,
        # An amount that would be rounded to zero is one minor unit, as the schema allows no zero.
        amount_minor=np.maximum(np.rint(amount * 100).astype(np.int64), 1),
    ).in_order(preset.start_ms)


def _with_fraud(batch: Batch, preset: HandbookPreset, seed: int) -> Batch:
    day = (batch.time_ms - preset.start_ms) // DAY_MS
    scenario = np.where(batch.amount_minor > LARGE_MINOR, LARGE, 0)
    amount = batch.amount_minor.copy()
    draws = Draws(seed, "handbook-fraud")
    of_terminal = _Rows(batch.merchant, preset.terminals)
    of_card = _Rows(batch.card, preset.customers)
    for first in range(preset.days - 1):
        for terminal in _distinct(draws, preset.terminals, TERMINALS_A_DAY):
            rows = of_terminal.of(terminal)
            scenario[rows[(day[rows] >= first) & (day[rows] < first + TERMINAL_DAYS)]] = TERMINAL
    for first in range(preset.days - 1):
        for customer in _distinct(draws, preset.customers, CUSTOMERS_A_DAY):
            rows = of_card.of(customer)
            rows = rows[(day[rows] >= first) & (day[rows] < first + CUSTOMER_DAYS)]
            hit = rows[draws.order(len(rows))[: len(rows) // ONE_IN]]
            amount[hit] *= TIMES
            scenario[hit] = CUSTOMER
    return Batch(
        batch.time_ms, batch.card, batch.merchant, batch.category, batch.country, batch.channel,
        amount, batch.id_high, batch.id_low, scenario,
    )  # fmt: skip


class _Rows:
    """An index from the numbers in a column to their rows."""

    def __init__(self, column: Ints, count: int) -> None:
        self._order = np.argsort(column, kind="stable")
        self._bounds = np.searchsorted(column[self._order], np.arange(count + 1))

    def of(self, number: int) -> Ints:
        return self._order[self._bounds[number] : self._bounds[number + 1]]


def _distinct(draws: Draws, bound: int, count: int) -> list[int]:
    """Draw `count` different numbers below `bound`, or all of them if there are fewer."""
    chosen: list[int] = []
    while len(chosen) < min(count, bound):
        number = int(draws.below(bound, 1)[0])
        if number not in chosen:
            chosen.append(number)
    return chosen
