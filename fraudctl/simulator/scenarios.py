"""Seven kinds of fraud; each takes a number of campaigns and returns their transactions.

All share one parameter: `difficulty` d says how far a fraud departs from the habits of the card it hits. Its
amount is habit^d x gross^(1-d): at 0 it is far above what anybody spends, and at 1 it is an amount that this
card might spend itself (kept a little nearer to its middle, as a careful thief would). Tempo, countries and
hours approach the card's own in the same measure, but never completely: at 1 the amount tells nothing any
more, but the pattern still does.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from fraudctl.simulator.batch import DAY_MS, Batch
from fraudctl.simulator.draws import Draws, Ints
from fraudctl.simulator.habits import MINUTE_MS, in_minor, time_of_day
from fraudctl.simulator.people import CHIP, CONTACTLESS, ECOM, People
from fraudctl.simulator.places import COUNTRIES, FIRST_ABROAD, distances_km
from fraudctl.simulator.preset import ScenarioName

# Range of a fraud's amount when nothing limits it: logarithms of minor units.
GROSS_LOG = (round(math.log(600_000), 9), round(math.log(1_200_000), 9))
# At difficulty 1 the amounts of a fraud have this share of the card's usual deviation.
CAREFUL = 0.8
HOUR_MS = 60 * MINUTE_MS


@dataclass(frozen=True)
class Scene:
    """The setting of a day's campaigns: people, genuine transactions, difficulty and random draws."""

    people: People
    start_ms: int
    day: int
    genuine: Batch
    difficulty: float
    # Number of days from this one to the end of the preset, this one included.
    days_left: int
    draws: Draws

    @property
    def ease(self) -> float:
        """Return 1 - difficulty."""
        return 1.0 - self.difficulty

    def victims(self, count: int) -> Ints:
        """Draw `count` cards at random, however much they are used."""
        return self.draws.below(self.people.cards, count)

    def between_easy_and_hard(self, easy: float, hard: float) -> float:
        """Interpolate linearly from `easy`, at difficulty 0, to `hard`, at difficulty 1."""
        return easy * self.ease + hard * self.difficulty

    def moment(self, card: Ints) -> Ints:
        """Draw a time of this day by each card's own hours, in ms since 1970."""
        in_day = time_of_day(self.people, card, self.draws, weekend=False)
        return self.start_ms + self.day * DAY_MS + in_day

    def within(self, days: float, count: int) -> Ints:
        """Draw delays of whole days, in ms: each less than `days`, and none beyond the preset's last day."""
        chance = self.draws.uniform(count)
        return (chance * min(days, float(self.days_left))).astype(np.int64) * DAY_MS

    def amount(self, card: Ints, category: Ints) -> Ints:
        """Draw amounts between what the card would spend and what a thief would like to, in minor units."""
        deviation = self.draws.normal(len(card)) * self.between_easy_and_hard(1.0, CAREFUL)
        habit = self.people.amount_log(card, category, deviation)
        gross = self.draws.between(*GROSS_LOG, len(card))
        return in_minor(habit * self.difficulty + gross * self.ease)

    def category(self, card: Ints) -> Ints:
        """Draw each card's usual categories; the lower the difficulty, the more often the dearest one."""
        usual = self.people.category(card, self.draws.uniform(len(card)))
        dearest = int(np.argmax(self.people.usual_log))
        return np.where(self.draws.uniform(len(card)) < self.ease, dearest, usual)

    def shop(self, category: Ints, country: Ints) -> Ints:
        """Draw any shop of each category and country, whether the card knows it or not."""
        return self.people.pools.pick(category, country, self.draws.uniform(len(category)))

    def far_away(self, card: Ints) -> Ints:
        """Draw a country for each card in which no card is at home."""
        return FIRST_ABROAD + self.draws.below(len(COUNTRIES) - FIRST_ABROAD, len(card))


@dataclass(frozen=True)
class Deeds:
    """Transactions of some campaigns in columns, in any order."""

    time_ms: Ints
    card: Ints
    merchant: Ints
    channel: Ints
    amount_minor: Ints


class Scenario(Protocol):
    """A kind of fraud.

    `story` describes it in one sentence, `source` names a publication that describes it, and `deeds_each` is
    the number of transactions in a campaign.
    """

    name: ClassVar[ScenarioName]
    story: ClassVar[str]
    source: ClassVar[str]
    deeds_each: ClassVar[int] = 1

    def size(self, difficulty: float) -> float:
        """Return the mean number of transactions in a campaign."""
        return float(self.deeds_each)

    def deeds(self, scene: Scene, campaigns: int) -> Deeds:
        """Return the transactions of `campaigns` campaigns that begin on the day of `scene`."""


class AmountOutlier(Scenario):
    """One purchase for far more than the card ever spends."""

    name: ClassVar[ScenarioName] = "amount_outlier"
    story: ClassVar[str] = (
        "one purchase, in a shop of the card's own country, for far more than it ever spends"
    )
    source: ClassVar[str] = "Fraud Detection Handbook (2022), ch. 3, scenario 1, made relative to the card"

    def deeds(self, scene: Scene, campaigns: int) -> Deeds:
        """Return one purchase for each campaign."""
        card = scene.victims(campaigns)
        category = scene.category(card)
        return Deeds(
            time_ms=scene.moment(card),
            card=card,
            merchant=scene.shop(category, scene.people.home[card]),
            channel=scene.people.channel(card, category, scene.draws.uniform(campaigns)),
            amount_minor=scene.amount(card, category),
        )


class CardTesting(Scenario):
    """Small payments in one online shop that test a number, and large ones once they went through."""

    name: ClassVar[ScenarioName] = "card_testing"
    story: ClassVar[str] = (
        "tiny online payments in quick succession, and large ones as soon as they went through"
    )
    source: ClassVar[str] = "Visa, Anti-Enumeration and Account Testing Best Practices for Merchants"

    def size(self, difficulty: float) -> float:
        """Return the number of test payments and large payments in a campaign."""
        return float(self._probes(difficulty) + self._uses(difficulty))

    def deeds(self, scene: Scene, campaigns: int) -> Deeds:
        """Return the test payments and the large payments of each campaign."""
        probes, uses = self._probes(scene.difficulty), self._uses(scene.difficulty)
        victim = scene.victims(campaigns)
        probed = np.repeat(victim, probes)
        used = np.repeat(victim, uses)
        begin = scene.moment(victim)
        gap = scene.between_easy_and_hard(15.0, 900.0)
        probing = _in_a_row(scene.draws, begin, probes, gap)
        pause = scene.draws.between(300.0, 3_600.0, campaigns)
        then = probing.reshape(campaigns, probes)[:, -1] + (pause * 1_000).astype(np.int64)
        where = scene.shop(
            scene.people.category(victim, scene.draws.uniform(campaigns)), scene.far_away(victim)
        )
        category = scene.category(used)
        return Deeds(
            time_ms=np.concatenate([probing, _in_a_row(scene.draws, then, uses, gap * 4)]),
            card=np.concatenate([probed, used]),
            merchant=np.concatenate(
                [np.repeat(where, probes), scene.shop(category, scene.people.home[used])]
            ),
            channel=np.full(campaigns * (probes + uses), ECOM, dtype=np.int64),
            amount_minor=np.concatenate(
                [50 + scene.draws.below(450, len(probed)), scene.amount(used, category)]
            ),
        )

    def _probes(self, difficulty: float) -> int:
        return 1 + int(7 * difficulty)

    def _uses(self, difficulty: float) -> int:
        return 6 - int(3 * difficulty)


class VelocityBurst(Scenario):
    """A stolen card that is used in shop after shop before it is blocked."""

    name: ClassVar[ScenarioName] = "velocity_burst"
    story: ClassVar[str] = "a stolen card is used in shop after shop before it is blocked"
    source: ClassVar[str] = (
        "Bolton and Hand, Statistical Fraud Detection: A Review, Statistical Science 17 (2002)"
    )
    deeds_each: ClassVar[int] = 10

    def deeds(self, scene: Scene, campaigns: int) -> Deeds:
        """Return a quick series of payments in shops for each campaign."""
        victim = scene.victims(campaigns)
        card = np.repeat(victim, self.deeds_each)
        category = scene.category(card)
        gap = scene.between_easy_and_hard(45.0, 1_500.0)
        tap = scene.draws.uniform(len(card)) < 0.8
        return Deeds(
            time_ms=_in_a_row(scene.draws, scene.moment(victim), self.deeds_each, gap),
            card=card,
            merchant=scene.shop(category, scene.people.home[card]),
            channel=np.where(tap, CONTACTLESS, CHIP).astype(np.int64),
            amount_minor=scene.amount(card, category),
        )


class AccountTakeover(Scenario):
    """Online payments by someone else who has the credentials: from abroad, at night, for high amounts."""

    name: ClassVar[ScenarioName] = "account_takeover"
    story: ClassVar[str] = (
        "someone else has the credentials: online, from abroad, at night, and for high amounts"
    )
    source: ClassVar[str] = (
        "Federal Reserve, FraudClassifier model (2020): unauthorised party, account takeover"
    )
    deeds_each: ClassVar[int] = 4

    def deeds(self, scene: Scene, campaigns: int) -> Deeds:
        """Return a series of online payments for each campaign."""
        victim = scene.victims(campaigns)
        night = scene.start_ms + scene.day * DAY_MS + HOUR_MS + scene.draws.below(4 * HOUR_MS, campaigns)
        at_night = scene.draws.uniform(campaigns) < scene.between_easy_and_hard(1.0, 0.2)
        begin = np.where(at_night, night, scene.moment(victim))
        # The goods of the whole campaign are sent to one country.
        away = scene.draws.uniform(campaigns) < scene.between_easy_and_hard(1.0, 0.3)
        country = np.where(away, scene.far_away(victim), scene.people.home[victim])
        card = np.repeat(victim, self.deeds_each)
        category = scene.category(card)
        return Deeds(
            time_ms=_in_a_row(
                scene.draws, begin, self.deeds_each, scene.between_easy_and_hard(400.0, 4_000.0)
            ),
            card=card,
            merchant=scene.shop(category, np.repeat(country, self.deeds_each)),
            channel=np.full(len(card), ECOM, dtype=np.int64),
            amount_minor=scene.amount(card, category),
        )


class ImpossibleTravel(Scenario):
    """A copied card that pays far away while its holder still pays at home.

    It pays sooner after a genuine payment in a shop than any aeroplane could get there.
    """

    name: ClassVar[ScenarioName] = "impossible_travel"
    story: ClassVar[str] = (
        "a copied card pays in a shop far away, sooner after a genuine payment than anyone can travel"
    )
    source: ClassVar[str] = "European Central Bank, Report on card fraud: counterfeit cards used abroad"
    deeds_each: ClassVar[int] = 2

    def deeds(self, scene: Scene, campaigns: int) -> Deeds:
        """Return the copy's payments of each campaign; none if the day has no genuine payment in a shop."""
        at_shop = np.flatnonzero(scene.genuine.channel != ECOM)
        if not len(at_shop):
            return _none()
        before = at_shop[scene.draws.below(len(at_shop), campaigns)]
        victim = scene.genuine.card[before]
        here = scene.genuine.country[before]
        there = scene.far_away(victim)
        there = np.where(there == here, FIRST_ABROAD + (there + 1) % (len(COUNTRIES) - FIRST_ABROAD), there)
        speed = scene.between_easy_and_hard(15_000.0, 1_100.0)
        needed = (distances_km()[here, there] * (HOUR_MS / speed)).astype(np.int64)
        card = np.repeat(victim, self.deeds_each)
        category = scene.category(card)
        return Deeds(
            time_ms=_in_a_row(scene.draws, scene.genuine.time_ms[before] + needed, self.deeds_each, 600.0),
            card=card,
            merchant=scene.shop(category, np.repeat(there, self.deeds_each)),
            channel=np.full(len(card), CHIP, dtype=np.int64),
            amount_minor=scene.amount(card, category),
        )


class CompromisedMerchant(Scenario):
    """A shop with a skimmer or a stolen till, which for some days charges cards without their holders."""

    name: ClassVar[ScenarioName] = "compromised_merchant"
    story: ClassVar[str] = "for some days one shop charges many cards once each, without their holders"
    source: ClassVar[str] = "Fraud Detection Handbook (2022), ch. 3, scenario 2"
    deeds_each: ClassVar[int] = 20

    def deeds(self, scene: Scene, campaigns: int) -> Deeds:
        """Return payments of many cards in one shop for each campaign."""
        shop = scene.draws.below(len(scene.people.shop_category), campaigns)
        merchant = np.repeat(shop, self.deeds_each)
        card = scene.victims(len(merchant))
        category = scene.people.shop_category[merchant]
        later = scene.within(scene.between_easy_and_hard(1.0, 10.0), len(card))
        return Deeds(
            time_ms=scene.moment(card) + later,
            card=card,
            merchant=merchant,
            channel=scene.people.channel(card, category, scene.draws.uniform(len(card))),
            amount_minor=scene.amount(card, category),
        )


class BustOut(Scenario):
    """A fraudulent holder: credit is built up, then spent at once and never paid back."""

    name: ClassVar[ScenarioName] = "bust_out"
    story: ClassVar[str] = (
        "a well-behaved card is emptied within days by its own holder, near home and in usual ways"
    )
    source: ClassVar[str] = (
        "Association of Certified Fraud Examiners, Fraud Examiners Manual: bust-out schemes"
    )
    deeds_each: ClassVar[int] = 15

    def deeds(self, scene: Scene, campaigns: int) -> Deeds:
        """Return many purchases within days for each campaign, all by one card."""
        victim = scene.victims(campaigns)
        card = np.repeat(victim, self.deeds_each)
        category = scene.category(card)
        later = scene.within(scene.between_easy_and_hard(1.0, 6.0), len(card))
        return Deeds(
            time_ms=scene.moment(card) + later,
            card=card,
            merchant=scene.shop(category, scene.people.home[card]),
            channel=scene.people.channel(card, category, scene.draws.uniform(len(card))),
            amount_minor=scene.amount(card, category),
        )


SCENARIOS: tuple[Scenario, ...] = (
    AmountOutlier(),
    CardTesting(),
    VelocityBurst(),
    AccountTakeover(),
    ImpossibleTravel(),
    CompromisedMerchant(),
    BustOut(),
)


def _in_a_row(draws: Draws, begin: Ints, each: int, gap_seconds: float) -> Ints:
    """Return `each` times for every beginning, the first of which is the beginning itself.

    The gaps are between half of `gap_seconds` and one and a half of it.
    """
    gaps = (draws.between(0.5, 1.5, len(begin) * each) * (gap_seconds * 1_000)).astype(np.int64)
    steps = gaps.reshape(len(begin), each)
    steps[:, 0] = 0
    return (begin[:, None] + np.cumsum(steps, axis=1)).reshape(-1)


def _none() -> Deeds:
    nothing = np.zeros(0, dtype=np.int64)
    return Deeds(nothing, nothing, nothing, nothing, nothing)
