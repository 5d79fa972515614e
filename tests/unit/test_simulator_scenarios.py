"""Fraud: as much as asked, in the shares asked, each kind by its story; and the dial at both ends."""

from collections.abc import Iterator

import numpy as np
import pytest

from fraudctl.simulator.batch import DAY_MS, Batch
from fraudctl.simulator.people import ECOM
from fraudctl.simulator.places import FIRST_ABROAD, distances_km
from fraudctl.simulator.scenarios import SCENARIOS
from fraudctl.simulator.yardstick import yardstick
from tests.support.simulations import drawn, simulation

NAMES = [scenario.name for scenario in SCENARIOS]
HOUR_MS = 3_600_000


def of(name: str, difficulty: float) -> Batch:
    _, everything = drawn(difficulty)
    return everything.take(everything.scenario == NAMES.index(name) + 1)  # type: ignore[arg-type]


def campaigns(batch: Batch, *, apart_ms: int = DAY_MS) -> Iterator[Batch]:
    """The transactions of each card, split where nothing happens for a while."""
    for card in np.unique(batch.card):
        own = batch.take(batch.card == card)
        cuts = np.flatnonzero(np.diff(own.time_ms) > apart_ms) + 1
        for places in np.split(np.arange(len(own)), cuts):
            yield own.take(places)


def test_at_difficulty_0_a_trivial_rule_finds_nearly_all() -> None:
    _, everything = drawn(0.0)
    rule = yardstick(everything.amount_minor, everything.fraud)
    assert rule.recall >= 0.95
    assert rule.alerts <= everything.fraud.sum()


def test_at_difficulty_1_a_trivial_rule_does_no_better_than_twice_chance() -> None:
    _, everything = drawn(1.0)
    rule = yardstick(everything.amount_minor, everything.fraud)
    assert rule.times_random <= 2.0
    # Nor does any other threshold, however many alerts it may raise.
    order = np.argsort(-everything.amount_minor, kind="stable")
    found = np.cumsum(everything.fraud[order])
    alerts = np.arange(1, len(found) + 1)
    enough = alerts >= len(found) // 200
    lift = found / alerts / everything.fraud.mean()
    assert lift[enough].max() <= 2.0


def test_the_dial_turns_one_way() -> None:
    recalls = []
    for difficulty in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, everything = drawn(difficulty)
        recalls.append(yardstick(everything.amount_minor, everything.fraud).recall)
    assert recalls == sorted(recalls, reverse=True)
    assert 0.25 < recalls[2] < 0.7


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.05])
def test_fraud_is_as_frequent_as_asked(rate: float) -> None:
    _, everything = drawn(0.5, fraud_rate=rate)
    assert everything.fraud.mean() == pytest.approx(rate, rel=0.08)


def test_the_mix_is_as_asked() -> None:
    made = simulation(days=14, fraud_rate=0.02, mix={"bust_out": 3, "amount_outlier": 1})
    counts = sum(np.bincount(batch.scenario, minlength=8) for batch in made.days())
    asked = {NAMES.index("bust_out") + 1, NAMES.index("amount_outlier") + 1}
    assert set(np.flatnonzero(counts[1:]) + 1) == asked
    assert counts[NAMES.index("bust_out") + 1] / counts[1:].sum() == pytest.approx(0.75, abs=0.03)


def test_fraud_leaves_genuine_traffic_as_it_is() -> None:
    without, with_fraud = (next(iter(simulation(days=1, fraud_rate=rate).days())) for rate in (0.0, 0.02))
    kept = with_fraud.take(~with_fraud.fraud)
    assert all(np.array_equal(a, b) for a, b in zip(without.columns, kept.columns, strict=True))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_each_has_a_story_a_source_and_a_true_size(scenario: object) -> None:
    assert len(scenario.story) > 30  # type: ignore[attr-defined]
    assert len(scenario.source) > 20  # type: ignore[attr-defined]


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_card_testing_is_small_and_then_not(difficulty: float) -> None:
    for campaign in campaigns(of("card_testing", difficulty)):
        small = campaign.amount_minor < 500
        assert small[0]
        assert (campaign.channel == ECOM).all()
        probes = campaign.take(small & (campaign.country >= FIRST_ABROAD))
        assert len(set(probes.merchant.tolist())) == 1


def test_a_velocity_burst_is_many_shops_in_no_time() -> None:
    for campaign in campaigns(of("velocity_burst", 0.0)):
        assert campaign.time_ms[-1] - campaign.time_ms[0] < HOUR_MS / 4
        assert len(set(campaign.merchant.tolist())) >= 3


def test_the_tempo_comes_nearer_to_ordinary_life_with_difficulty() -> None:
    for name in ("velocity_burst", "account_takeover"):
        gaps = [
            np.median(np.concatenate([np.diff(campaign.time_ms) for campaign in campaigns(of(name, dial))]))
            for dial in (0.0, 0.5, 1.0)
        ]
        assert gaps == sorted(gaps)


def test_an_account_takeover_is_online_abroad_and_at_night() -> None:
    taken = of("account_takeover", 0.0)
    assert (taken.channel == ECOM).all()
    assert (taken.country >= FIRST_ABROAD).all()
    assert (taken.time_ms % DAY_MS < 8 * HOUR_MS).mean() > 0.95


@pytest.mark.parametrize("difficulty", [0.0, 1.0])
def test_impossible_travel_is_impossible(difficulty: float) -> None:
    _, everything = drawn(difficulty)
    for campaign in campaigns(of("impossible_travel", difficulty)):
        card, then, there = campaign.card[0], campaign.time_ms[0], campaign.country[0]
        own = everything.take((everything.card == card) & ~everything.fraud & (everything.channel != ECOM))
        before = own.take(own.time_ms < then)
        kilometres = distances_km()[before.country, there]
        hours = (then - before.time_ms) / HOUR_MS
        assert (kilometres > 1_000 * hours).any()


def test_a_compromised_merchant_charges_many_cards() -> None:
    hit = of("compromised_merchant", 0.5)
    for merchant in np.unique(hit.merchant):
        cards = hit.card[hit.merchant == merchant]
        assert len(cards) % 20 == 0 or merchant in hit.merchant[-60:]
        assert len(set(cards.tolist())) > 0.9 * len(cards)


def test_a_bust_out_empties_one_card_near_home() -> None:
    for campaign in campaigns(of("bust_out", 0.5), apart_ms=4 * DAY_MS):
        assert len(campaign) >= 10
        assert len(set(campaign.country.tolist())) <= 2


def test_the_yardstick_counts_as_by_hand() -> None:
    amounts = np.array([100, 900, 50, 800, 900, 10, 20, 30])
    fraud = np.array([True, True, False, False, False, False, False, False])
    rule = yardstick(amounts, fraud)
    # Two frauds, so two alerts: both of 900. One of them is fraud; two blind picks of eight find a quarter.
    assert (rule.amount_over, rule.alerts, rule.recall, rule.random_recall) == (800, 2, 0.5, 0.25)
    assert rule.times_random == 2.0


def test_equal_amounts_share_one_verdict_and_never_exceed_the_budget() -> None:
    rule = yardstick(np.array([900, 900, 900, 10]), np.array([True, True, False, False]))
    assert (rule.amount_over, rule.alerts, rule.recall) == (900, 0, 0.0)


def test_nothing_to_find_is_no_yardstick() -> None:
    assert yardstick(np.array([1, 2]), np.array([False, False])).alerts == 0
