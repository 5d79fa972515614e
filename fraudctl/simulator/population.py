"""Cards and shops of the plain traffic, drawn once from a seed and the same on every machine.

Only `Random.random()` and plain arithmetic are used: Python guarantees that sequence for every version,
while library functions such as exp may differ in the last digit between machines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from fraudctl.config.model import EventsSettings, ProducerSettings

T = TypeVar("T")

# Countries of cards and shops; one that is listed several times gets that many shares.
COUNTRIES = ("DE", "DE", "DE", "FR", "FR", "ES", "IT", "NL", "AT", "BE")
FOREIGN = ("US", "BR", "TH", "ZA", "AE", "SG")
FAVOURITES = 4
CHANNELS = ("contactless", "chip", "ecom")


@dataclass(frozen=True, slots=True)
class Profile:
    """Usual amount, spread and channels in one category."""

    usual_minor: int
    spread: float
    # Contactless up to the first bound, chip up to the second, else e-commerce.
    channel_bounds: tuple[float, float]


PROFILES = {
    "Retail": Profile(usual_minor=2_500, spread=0.70, channel_bounds=(0.55, 0.80)),
    "Food": Profile(usual_minor=1_500, spread=0.50, channel_bounds=(0.80, 0.95)),
    "Electronics": Profile(usual_minor=15_000, spread=0.75, channel_bounds=(0.15, 0.45)),
}
ANY_PROFILE = Profile(usual_minor=4_000, spread=0.70, channel_bounds=(0.50, 0.75))


@dataclass(frozen=True, slots=True)
class Merchant:
    """A shop, which sells in one category."""

    merchant_id: str
    country: str


@dataclass(frozen=True, slots=True)
class Card:
    """A card with its habits; `favourites` holds a few shops per category, in the population's order."""

    card_id: str
    country: str
    spending: float
    favourites: tuple[tuple[Merchant, ...], ...]


@dataclass(frozen=True, slots=True)
class Population:
    """The cards, and the merchants by category.

    `categories`, `bounds` (running sums of their shares), `profiles` and `merchants` have one entry per
    category.
    """

    categories: tuple[str, ...]
    bounds: tuple[float, ...]
    profiles: tuple[Profile, ...]
    merchants: tuple[tuple[Merchant, ...], ...]
    cards: tuple[Card, ...]


def pick(options: Sequence[T], chance: float) -> T:
    """Return the option that a number in [0, 1) selects."""
    return options[int(chance * len(options))]


def populate(producer: ProducerSettings, events: EventsSettings, seed: int) -> Population:
    """Draw the population; each category that has a weight gets at least one merchant."""
    chance = Random(seed).random
    # In the order of events.categories, so that the order of the weights in a file changes nothing.
    weights = {name: producer.category_weights.get(name, 0.0) for name in events.categories}
    categories = tuple(name for name, weight in weights.items() if weight > 0)
    total = sum(weights.values())
    running = 0.0
    bounds = []
    for name in categories:
        running += weights[name] / total
        bounds.append(running)
    shops: list[list[Merchant]] = [[] for _ in categories]
    for number in range(max(producer.merchants, len(categories))):
        place = number if number < len(categories) else category_at(bounds, chance())
        shops[place].append(Merchant(f"merchant-{number:05d}", pick(COUNTRIES, chance())))
    merchants = tuple(tuple(group) for group in shops)
    near = {country: _near(merchants, country) for country in dict.fromkeys(COUNTRIES)}
    cards = []
    for number in range(producer.cards):
        country = pick(COUNTRIES, chance())
        spending = 0.5 + chance() * 1.5
        favourites = tuple(tuple(pick(group, chance()) for _ in range(FAVOURITES)) for group in near[country])
        cards.append(Card(f"card-{number:06d}", country, spending, favourites))
    profiles = tuple(PROFILES.get(name, ANY_PROFILE) for name in categories)
    return Population(categories, tuple(bounds), profiles, merchants, tuple(cards))


def category_at(bounds: Sequence[float], chance: float) -> int:
    """Return the index of the category that a number in [0, 1) falls into."""
    for place, bound in enumerate(bounds):
        if chance < bound:
            return place
    # The sum of the shares may be a rounding error below one.
    return len(bounds) - 1


def _near(merchants: tuple[tuple[Merchant, ...], ...], country: str) -> tuple[tuple[Merchant, ...], ...]:
    """Return each category's merchants in one country, or all of the category where that country has none."""
    return tuple(
        tuple(merchant for merchant in group if merchant.country == country) or group for group in merchants
    )
