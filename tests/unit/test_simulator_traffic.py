"""Traffic is a pure function of its seed: everything but the clock."""

import re
from collections import Counter
from itertools import islice

import pytest

from fraudctl.config.load import load
from fraudctl.events.codec import Transaction, encode, rfc3339
from fraudctl.events.schema import AMOUNT_MINOR_MAX, AMOUNT_MINOR_MIN, PATTERNS
from fraudctl.simulator.population import FOREIGN, populate
from fraudctl.simulator.traffic import Traffic, TrafficDigest, stamp

SETTINGS = load(profile="local").settings
SOME_MS = 1_790_000_000_000


def events(count: int, seed: int = 7, **changes: object) -> list[Transaction]:
    producer = SETTINGS.producer.model_copy(update=changes)
    return list(islice(Traffic(producer, SETTINGS.events, seed), count))


def digest(transactions: list[Transaction]) -> str:
    result = TrafficDigest()
    result.add([encode(transaction) for transaction in transactions])
    return result.hexdigest()


def test_the_sequence_of_a_seed_never_changes() -> None:
    # The same on every machine and Python version; it changes only with the simulator itself.
    assert digest(events(1000)) == "5611a7344dbb28cf5a29b30e28f0356a9f2f7d408269497a193e6a5e1081ee1e"


def test_same_seed_same_events_and_digest() -> None:
    assert events(500) == events(500)
    assert digest(events(500)) == digest(events(500))


def test_another_seed_or_count_is_another_digest() -> None:
    digests = {digest(events(100, seed=7)), digest(events(100, seed=8)), digest(events(101, seed=7))}
    assert len(digests) == 3


def test_the_order_of_the_weights_changes_nothing() -> None:
    weights = SETTINGS.producer.category_weights
    turned = dict(reversed(weights.items()))
    assert events(200, category_weights=weights) == events(200, category_weights=turned)


def test_the_clock_changes_the_time_and_the_time_in_the_id_and_nothing_else() -> None:
    event = events(1)[0]
    early, late = stamp(event, SOME_MS), stamp(event, SOME_MS + 86_400_000)
    assert early.event_time == rfc3339(SOME_MS)
    assert early.transaction_id[:13] == f"{SOME_MS:012x}"[:8] + "-" + f"{SOME_MS:012x}"[8:]
    assert early.transaction_id[13:] == late.transaction_id[13:] == event.transaction_id[13:]
    without_clock = [
        encode(stamped)
        .replace(stamped.event_time.encode(), b"")
        .replace(stamped.transaction_id.encode(), b"")
        for stamped in (early, late)
    ]
    assert without_clock[0] == without_clock[1]


def test_stamping_with_time_zero_gives_the_event_itself() -> None:
    for event in events(50):
        assert stamp(event, 0) == event


def test_ids_are_uuids_of_version_7() -> None:
    uuid7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    for event in events(200):
        assert uuid7.fullmatch(stamp(event, SOME_MS).transaction_id)


def test_ids_never_meet_within_a_run_nor_between_runs_of_one_seed() -> None:
    # The second run begins in the middle of the first, so that most milliseconds occur in both.
    runs = [
        [
            stamp(event, SOME_MS + start + number // 4).transaction_id
            for number, event in enumerate(events(4000))
        ]
        for start in (0, 500)
    ]
    assert len(set(runs[0]) | set(runs[1])) == 8000


def test_every_field_is_within_the_schema() -> None:
    for event in events(2000, fraud_rate=0.2):
        stamped = stamp(event, SOME_MS)
        for name, pattern in PATTERNS.items():
            assert re.fullmatch(pattern, getattr(stamped, name)), (name, stamped)
        assert AMOUNT_MINOR_MIN <= stamped.amount_minor <= AMOUNT_MINOR_MAX
        assert stamped.category in SETTINGS.events.categories
        assert stamped.currency == SETTINGS.events.currency


def test_categories_come_by_their_weights() -> None:
    count = 20_000
    found = Counter(event.category for event in events(count))
    # Three standard deviations of the least certain share are 0.011.
    for name, weight in SETTINGS.producer.category_weights.items():
        assert found[name] / count == pytest.approx(weight, abs=0.011)


def test_a_category_without_weight_never_comes() -> None:
    weights = {"Retail": 3.0, "Food": 0.0, "Electronics": 1.0}
    assert {event.category for event in events(2000, category_weights=weights)} == {"Retail", "Electronics"}


@pytest.mark.parametrize(("rate", "least", "most"), [(0.0, 0, 0), (0.01, 140, 260), (1.0, 20_000, 20_000)])
def test_the_share_of_suspicious_events(rate: float, least: int, most: int) -> None:
    abroad = sum(event.country in FOREIGN for event in events(20_000, fraud_rate=rate))
    assert least <= abroad <= most


def test_suspicious_amounts_are_far_above_the_usual() -> None:
    usual = sorted(event.amount_minor for event in events(3000, fraud_rate=0.0) if event.category == "Food")
    strange = sorted(event.amount_minor for event in events(3000, fraud_rate=1.0) if event.category == "Food")
    assert strange[len(strange) // 2] > 10 * usual[len(usual) // 2]


def test_cards_keep_their_habits() -> None:
    people = populate(SETTINGS.producer, SETTINGS.events, 7)
    assert len(people.cards) == SETTINGS.producer.cards
    assert sum(len(group) for group in people.merchants) == SETTINGS.producer.merchants
    favourites = {
        card.card_id: {shop for group in card.favourites for shop in group} for card in people.cards
    }
    ids = {card: {shop.merchant_id for shop in shops} for card, shops in favourites.items()}
    drawn = events(5000, fraud_rate=0.0)
    at_home = sum(event.merchant_id in ids[event.card_id] for event in drawn)
    assert at_home / len(drawn) > 0.7


def test_a_merchant_sells_in_one_category() -> None:
    sells: dict[str, set[str]] = {}
    for event in events(5000, fraud_rate=0.1):
        sells.setdefault(event.merchant_id, set()).add(event.category)
    assert all(len(categories) == 1 for categories in sells.values())


def test_one_card_and_fewer_merchants_than_categories_are_enough() -> None:
    drawn = events(300, cards=1, merchants=1)
    assert {event.card_id for event in drawn} == {"card-000000"}
    assert {event.category for event in drawn} == set(SETTINGS.events.categories)
