"""One day of genuine transactions: each card follows its habits, apart from other shops and journeys."""

from functools import cache

import numpy as np

from fraudctl.events.schema import AMOUNT_MINOR_MAX
from fraudctl.simulator.arrivals import DAY_CURVE
from fraudctl.simulator.batch import DAY_MS, Batch, with_ids
from fraudctl.simulator.draws import Draws, Floats, Ints, exp
from fraudctl.simulator.people import CHIP, ECOM, People

MINUTES = 1440
MINUTE_MS = 60_000
# Relative traffic from Monday to Sunday; the average is 1.
WEEKDAYS = (0.93, 0.92, 0.96, 1.00, 1.16, 1.21, 0.82)
SATURDAY = 5
# At the weekend the day begins later.
WEEKEND_SHIFT_MINUTES = 50
FAVOURITE_SHARE = 0.75
# Share of the other visits for which the shop's country is drawn at random.
CROSS_BORDER_SHARE = 0.06
# Share of the purchases during a journey that are made in its country.
JOURNEY_SHARE = 0.85


def weekday(start_ms: int, day: int) -> int:
    """Return the weekday of a day counted from `start_ms`, 0 for Monday; 1970 began on a Thursday."""
    return (start_ms // DAY_MS + day + 3) % 7


def genuine_day(people: People, start_ms: int, day: int, seed: int) -> Batch:
    """Return all genuine transactions of day `day`, counted from `start_ms`, in order of time."""
    draws = Draws(seed, "genuine", day)
    today = weekday(start_ms, day)
    weekend = today >= SATURDAY
    busy = WEEKDAYS[today] * (1.0 + people.weekender * (0.5 if weekend else -0.2))
    card = np.repeat(np.arange(people.cards), draws.poisson(people.activity * busy))
    count = len(card)
    time = start_ms + day * DAY_MS + time_of_day(people, card, draws, weekend=weekend)
    category = people.category(card, draws.uniform(count))
    merchant = _merchants(people, card, category, day, draws)
    channel = people.channel(card, category, draws.uniform(count))
    return with_ids(
        draws,
        time_ms=time,
        card=card,
        merchant=merchant,
        category=category,
        country=people.shop_country[merchant],
        channel=np.where(people.abroad(day)[card] & (channel == ECOM), CHIP, channel),
        amount_minor=in_minor(people.amount_log(card, category, draws.normal(count))),
    ).in_order(start_ms)


def time_of_day(people: People, card: Ints, draws: Draws, *, weekend: bool) -> Ints:
    """Return times in ms since midnight, drawn by the day curve and shifted by each card's own hours."""
    chance = draws.uniform(len(card)) * len(_minutes())
    place = chance.astype(np.int64)
    shift = people.shift_minutes[card] + (WEEKEND_SHIFT_MINUTES if weekend else 0)
    minute = (_minutes()[place] + shift) % MINUTES
    return minute * MINUTE_MS + draws.below(MINUTE_MS, len(card))


def in_minor(amount_log: Floats) -> Ints:
    """Return the amounts of these logarithms, in whole minor units and within the schema's bounds."""
    return np.clip(exp(amount_log), 1.0, float(AMOUNT_MINOR_MAX)).astype(np.int64)


def _merchants(people: People, card: Ints, category: Ints, day: int, draws: Draws) -> Ints:
    count = len(card)
    slot = draws.below(people.favourites.shape[2], count)
    home = people.home[card]
    elsewhere = draws.below(len(people.names.countries), count)
    country = np.where(draws.uniform(count) < CROSS_BORDER_SHARE, elsewhere, home)
    other = people.pools.pick(category, country, draws.uniform(count))
    usual = np.where(draws.uniform(count) < FAVOURITE_SHARE, people.favourites[card, category, slot], other)
    away = people.abroad(day)[card] & (draws.uniform(count) < JOURNEY_SHARE)
    there = people.pools.pick(category, people.journey_to[card], draws.uniform(count))
    return np.where(away, there, usual)


@cache
def _minutes() -> Ints:
    """Return a table to draw from: every minute of the day, as often as the day curve says."""
    counts = [
        round(64 * (DAY_CURVE[hour] * (1 - part / 60) + DAY_CURVE[(hour + 1) % 24] * part / 60))
        for hour in range(24)
        for part in range(60)
    ]
    return np.repeat(np.arange(MINUTES), counts)
