"""Cards with habits and the shops they use, drawn once from a seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fraudctl.config.model import EventsSettings, ProducerSettings
from fraudctl.simulator.batch import Names
from fraudctl.simulator.draws import Draws, Floats, Ints, exp
from fraudctl.simulator.places import ABROAD, COUNTRIES, FIRST_ABROAD, HOME
from fraudctl.simulator.population import ANY_PROFILE, CHANNELS, PROFILES
from fraudctl.simulator.preset import HabitsPreset

FAVOURITES = 4
CONTACTLESS, CHIP, ECOM = range(3)
# Share of the merchants that are abroad.
ABROAD_SHARE = 0.15
# Spread between cards: standard deviations of logarithms.
ACTIVITY_SPREAD = 0.6
SPENDING_SPREAD = 0.45
# Days from one journey to the next, and days of a journey: shortest and longest.
JOURNEY_EVERY = (60.0, 400.0)
JOURNEY_DAYS = (2.0, 12.0)


@dataclass(frozen=True)
class Pools:
    """Merchants grouped by category and country, all groups in one array.

    The group of a category and a country is `size` entries of `merchants`, from index `start` on.
    """

    merchants: Ints
    start: Ints
    size: Ints

    def pick(self, category: Ints, country: Ints, chance: Floats) -> Ints:
        """Pick one merchant for each category and country; a squared chance makes few shops popular."""
        return self.merchants[
            self.start[category, country] + (chance * chance * self.size[category, country]).astype(np.int64)
        ]


@dataclass(frozen=True)
class People:
    """Columns by card (`home`, `favourites`…), by merchant (`shop_…`) and by category (`usual_log`…)."""

    names: Names
    home: Ints
    activity: Floats
    spending_log: Floats
    spread: Floats
    shift_minutes: Ints
    weekender: Floats
    online: Floats
    category_bounds: Floats
    favourites: Ints
    journey_every: Ints
    journey_days: Ints
    journey_offset: Ints
    journey_to: Ints
    shop_category: Ints
    shop_country: Ints
    pools: Pools
    usual_log: Floats
    usual_spread: Floats
    channel_bounds: Floats

    @property
    def cards(self) -> int:
        """Return the number of cards."""
        return len(self.home)

    def amount_log(self, card: Ints, category: Ints, deviation: Floats) -> Floats:
        """Return the logarithms of amounts that are `deviation` deviations from the card's usual one."""
        spread = self.usual_spread[category] * self.spread[card]
        return self.usual_log[category] + self.spending_log[card] + spread * deviation

    def category(self, card: Ints, chance: Floats) -> Ints:
        """Return the category that each chance in [0, 1) selects, by the card's own shares."""
        bounds = self.category_bounds[card]
        place: Ints = np.sum(chance[:, None] >= bounds[:, :-1], axis=1, dtype=np.int64)
        return place

    def channel(self, card: Ints, category: Ints, chance: Floats) -> Ints:
        """Return the channel of each payment; the card's own leaning scales the share of online payments."""
        contactless, chip = (self.channel_bounds[category, place] for place in (0, 1))
        in_shop = 1.0 - (1.0 - chip) * self.online[card]
        share = contactless / chip * in_shop
        place: Ints = np.add(chance >= share, chance >= in_shop, dtype=np.int64)
        return place

    def abroad(self, day: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return a mask of the cards that are on a journey that day."""
        return (day + self.journey_offset) % self.journey_every < self.journey_days


def draw_people(
    preset: HabitsPreset,
    producer: ProducerSettings,
    events: EventsSettings,
    seed: int,
    scenarios: Sequence[str],
) -> People:
    """Draw the population; each category that has a weight gets merchants in proportion."""
    weights = {name: producer.category_weights.get(name, 0.0) for name in events.categories}
    categories = tuple(name for name, weight in weights.items() if weight > 0)
    shares = _shares([weights[name] for name in categories])
    category, country = _shops(preset, shares, seed)
    pools = _pools(category, country, len(categories))
    draws = Draws(seed, "cards")
    cards = preset.cards
    home = _by_share(_shares([place[2] for place in HOME.values()]), draws.uniform(cards))
    activity = exp(draws.normal(cards) * ACTIVITY_SPREAD)
    scale = preset.transactions_per_card_day * cards / math.fsum(activity.tolist())
    tastes = np.array(shares) * draws.between(0.4, 1.6, cards * len(shares)).reshape(cards, len(shares))
    running = np.cumsum(tastes, axis=1)
    favourites = np.stack(
        [
            pools.pick(np.full(cards, place), home, draws.uniform(cards))
            for place in range(len(categories))
            for _ in range(FAVOURITES)
        ],
        axis=1,
    ).reshape(cards, len(categories), FAVOURITES)
    profiles = [PROFILES.get(name, ANY_PROFILE) for name in categories]
    return People(
        names=Names(
            cards=tuple(f"card-{number:06d}" for number in range(cards)),
            merchants=tuple(f"merchant-{number:05d}" for number in range(len(category))),
            categories=categories,
            countries=COUNTRIES,
            channels=CHANNELS,
            currency=events.currency,
            scenarios=tuple(scenarios),
        ),
        home=home,
        activity=activity * scale,
        spending_log=draws.normal(cards) * SPENDING_SPREAD,
        spread=draws.between(0.6, 1.2, cards),
        shift_minutes=np.rint(draws.normal(cards) * 75.0).astype(np.int64),
        weekender=draws.between(-0.2, 0.5, cards),
        online=draws.between(0.3, 1.7, cards),
        category_bounds=running / running[:, -1:],
        favourites=favourites,
        journey_every=draws.between(*JOURNEY_EVERY, cards).astype(np.int64),
        journey_days=draws.between(*JOURNEY_DAYS, cards).astype(np.int64),
        journey_offset=draws.below(1000, cards),
        journey_to=_elsewhere(home, draws),
        shop_category=category,
        shop_country=country,
        pools=pools,
        # Rounded, because the last digit of a logarithm depends on the machine.
        usual_log=np.array([round(math.log(profile.usual_minor), 9) for profile in profiles]),
        usual_spread=np.array([profile.spread for profile in profiles]),
        channel_bounds=np.array([profile.channel_bounds for profile in profiles]),
    )


def _shops(preset: HabitsPreset, shares: list[float], seed: int) -> tuple[Ints, Ints]:
    """Draw category and country of every merchant."""
    draws = Draws(seed, "merchants")
    count = max(preset.merchants, len(shares))
    category = _by_share(shares, draws.uniform(count))
    category[: len(shares)] = np.arange(len(shares))
    at_home = _by_share(_shares([place[2] for place in HOME.values()]), draws.uniform(count))
    abroad = FIRST_ABROAD + draws.below(len(ABROAD), count)
    country = np.where(draws.uniform(count) < ABROAD_SHARE, abroad, at_home)
    return category, country


def _pools(category: Ints, country: Ints, categories: int) -> Pools:
    """Group the merchants by category and country; an empty group gets all merchants of its category."""
    groups: list[Ints] = []
    start = np.zeros((categories, len(COUNTRIES)), dtype=np.int64)
    size = np.zeros_like(start)
    at = 0
    for kind in range(categories):
        whole = np.flatnonzero(category == kind)
        for place in range(len(COUNTRIES)):
            group = whole[country[whole] == place]
            group = group if len(group) else whole
            groups.append(group)
            start[kind, place], size[kind, place] = at, len(group)
            at += len(group)
    return Pools(np.concatenate(groups), start, size)


def _elsewhere(home: Ints, draws: Draws) -> Ints:
    """Draw a country that is not home: two times in three another one of `HOME`, else one of `ABROAD`."""
    near = (home + 1 + draws.below(len(HOME) - 1, len(home))) % len(HOME)
    far = FIRST_ABROAD + draws.below(len(ABROAD), len(home))
    return np.where(draws.uniform(len(home)) < 2 / 3, near, far)


def _shares(weights: Sequence[float]) -> list[float]:
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def _by_share(shares: Sequence[float], chance: Floats) -> Ints:
    """Return the index of the share that each chance in [0, 1) falls into."""
    bounds = np.cumsum(np.array(shares))
    return np.searchsorted(bounds[:-1], chance, side="right").astype(np.int64)
