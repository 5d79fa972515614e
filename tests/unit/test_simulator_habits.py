"""Genuine traffic: cards with habits, days with hours, weeks with days; and the same bytes for one seed."""

import hashlib

import numpy as np
import pytest

from fraudctl.simulator.batch import DAY_MS, joined
from fraudctl.simulator.habits import WEEKDAYS, weekday
from fraudctl.simulator.people import ACTIVITY_SPREAD, ECOM
from fraudctl.simulator.places import COUNTRIES, FIRST_ABROAD, distances_km
from fraudctl.simulator.simulation import Simulation
from fraudctl.simulator.wire import Wire, transaction_ids
from tests.support.simulations import drawn, simulation

# Change these only when the traffic is meant to change: whoever noted a digest will not find it again.
PINNED_EVERYDAY = "1fcb428cc564cd2b41da234a31b94bc5765ab421b6b8014f6308ac36248304fa"
PINNED_HANDBOOK = "a53daad7f349dd57e1327923cd29487bcb1f8fa0eb8d578f91824103a9803e9d"


def digest(made: Simulation) -> str:
    wire = Wire(made.names)
    lines = (piece for batch in made.days() for piece in wire.lines(batch))
    return hashlib.sha256(b"".join(lines)).hexdigest()


def test_one_seed_gives_one_digest_on_every_machine() -> None:
    assert digest(simulation(seed=1, days=2)) == PINNED_EVERYDAY
    assert digest(simulation("handbook", seed=1, days=2, customers=500)) == PINNED_HANDBOOK


def test_taking_the_days_twice_gives_the_same() -> None:
    made = simulation(days=2)
    assert digest(made) == digest(made)


def test_another_seed_gives_another_digest() -> None:
    assert digest(simulation(seed=1, days=1)) != digest(simulation(seed=2, days=1))


def test_fewer_days_are_the_beginning_of_more_but_for_the_fraud_that_looks_ahead() -> None:
    short, long = (list(simulation(days=days, fraud_rate=0.0).days()) for days in (2, 4))
    for one, other in zip(short, long, strict=False):
        assert all(np.array_equal(a, b) for a, b in zip(one.columns, other.columns, strict=True))


def test_every_day_holds_its_own_times_in_order() -> None:
    made = simulation(days=4)
    for day, batch in enumerate(made.days()):
        assert (np.diff(batch.time_ms) >= 0).all()
        assert set(((batch.time_ms - made.preset.start_ms) // DAY_MS).tolist()) == {day}


def test_ids_never_meet() -> None:
    _, everything = drawn(0.5)
    assert len(set(transaction_ids(everything))) == len(everything)


def test_traffic_is_as_busy_as_asked() -> None:
    made = simulation(days=14, fraud_rate=0.0, transactions_per_card_day=1.5)
    total = sum(len(batch) for batch in made.days())
    assert total / (14 * 5000) == pytest.approx(1.5, rel=0.04)


def test_few_cards_are_used_a_lot() -> None:
    _, everything = drawn(0.5)
    counts = np.sort(np.bincount(everything.card, minlength=5000))
    assert counts[-500:].sum() > 0.2 * counts.sum()
    assert ACTIVITY_SPREAD > 0


def test_night_is_quiet_and_noon_is_not() -> None:
    _, everything = drawn(0.5)
    hours = np.bincount(everything.time_ms[~everything.fraud] % DAY_MS // 3_600_000, minlength=24)
    assert hours[3] < 0.4 * hours.mean()
    assert hours[12] > 1.3 * hours.mean()


def test_saturday_is_busier_than_tuesday() -> None:
    made = simulation(days=7, fraud_rate=0.0)
    counts = [len(batch) for batch in made.days()]
    assert [weekday(made.preset.start_ms, day) for day in range(7)] == list(range(7))
    assert counts[5] > 1.15 * counts[1]
    assert sum(WEEKDAYS) == pytest.approx(7.0)


def test_cards_keep_to_their_country_unless_they_travel_or_shop_abroad() -> None:
    made, everything = drawn(0.5)
    genuine = everything.take(~everything.fraud)
    home = {card: np.bincount(genuine.country[genuine.card == card]).argmax() for card in range(200)}
    of_them = genuine.take(genuine.card < 200)
    at_home = np.array([home[card] for card in of_them.card.tolist()]) == of_them.country
    assert 0.8 < at_home.mean() < 0.99
    assert made.names.countries == COUNTRIES


def test_cards_differ_more_from_each_other_than_from_themselves() -> None:
    _, everything = drawn(0.5)
    food = everything.take((everything.category == 1) & ~everything.fraud)
    logs = np.log(food.amount_minor)
    means = np.array([logs[food.card == card].mean() for card in range(300) if (food.card == card).sum() > 5])
    assert means.std() > 0.35


def test_a_card_on_a_journey_does_not_lie_on_the_sofa() -> None:
    _, everything = drawn(0.5)
    away = everything.take((everything.country >= FIRST_ABROAD) & ~everything.fraud)
    assert (away.channel != ECOM).mean() > 0.6


def test_distances_are_those_of_the_globe() -> None:
    table = distances_km()
    where = {name: place for place, name in enumerate(COUNTRIES)}
    assert table[where["DE"], where["FR"]] == pytest.approx(878, abs=10)
    assert table[where["DE"], where["SG"]] == pytest.approx(9_920, abs=60)
    assert (table == table.T).all()
    assert not np.diag(table).any()


def test_joining_one_batch_is_that_batch() -> None:
    batch = next(iter(simulation(days=1).days()))
    assert joined([batch]) is batch
