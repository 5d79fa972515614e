"""Verdicts on many transactions at once are those on each of them."""

import random
from typing import Any

import numpy as np
import pytest

from fraudctl.config.load import load
from fraudctl.recount import verdict_table
from fraudctl.recount.canonical import fields_of
from fraudctl.recount.judgement import judge
from fraudctl.recount.parse import Transaction
from fraudctl.recount.verdict_table import VerdictTable
from fraudctl.rules.model import RuleSet, parse_rules
from tests.support import forests

CATEGORIES = load().settings.events.categories
AMOUNTS = [1, 99, 100, 101, 5_000, 19_999, 20_000, 20_001, 10_000_000_000]
COUNTRIES, CHANNELS = ["DE", "FR", "US", "NG"], ["pos", "ecom", "atm"]
# What a forest may look at, and the borders that its nodes have.
LIMITS = {
    "amount_minor": AMOUNTS,
    "hour_utc": range(24),
    "weekday": range(7),
    "category=Food": [0],
    "channel=pos": [0],
}
NOON_US = 1_773_144_000_000_000


def drawn(chance: random.Random) -> Transaction:
    return Transaction(
        1,
        "t",
        NOON_US + chance.randrange(10 * 86_400_000_000),
        "c",
        "m",
        chance.choice(CATEGORIES),
        chance.choice([*AMOUNTS, chance.randrange(1, 30_000)]),
        "EUR",
        chance.choice(COUNTRIES),
        chance.choice(CHANNELS),
    )


def drawn_rules(chance: random.Random) -> RuleSet:
    def some(names: list[str]) -> list[str]:
        return chance.sample(names, chance.randint(1, len(names)))

    def limits() -> Any:
        return chance.choice([chance.choice(AMOUNTS[1:-1]), dict.fromkeys(some([*CATEGORIES]), 20000)])

    makers: dict[str, Any] = {
        "amount_over": limits,
        "amount_under": limits,
        "hours_utc": lambda: chance.sample(range(24), 2),
        "weekdays": lambda: some(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]),
        "categories": lambda: some([*CATEGORIES]),
        "countries": lambda: some(COUNTRIES),
        "not_countries": lambda: some(COUNTRIES),
        "channels": lambda: some(CHANNELS),
        "not_channels": lambda: some(CHANNELS),
    }
    rules = []
    for number in range(chance.randint(1, 4)):
        while True:
            names = chance.sample(list(makers), chance.randint(1, 3))
            if not {"amount_over", "amount_under"} <= set(names):
                break
        when = {name: makers[name]() for name in names}
        if chance.random() < 0.3:
            document = forests.drawn(chance, LIMITS)
            when["model"] = {"forest": document, "score_over": chance.randrange(20, 80)}
        action = chance.choice(["flag", "alert"])
        rules.append({"id": f"r-{number}", "reason": "because", "action": action, "when": when})
    return parse_rules({"rules": rules, "alert_score": chance.choice([None, 80])})


def agree(rules: RuleSet, transactions: list[Transaction], table: VerdictTable | None = None) -> None:
    table = table or VerdictTable(rules, "EUR", CATEGORIES)
    verdicts, which = table.verdicts(
        [fields_of(one) for one in transactions],
        np.array([one.event_us for one in transactions]),
        np.array([one.amount_minor for one in transactions]),
        np.array([CATEGORIES.index(one.category) for one in transactions]),
    )
    alone = judge(rules)
    assert [verdicts[number] for number in which] == [alone(one) for one in transactions]


@pytest.mark.parametrize("seed", range(40))
def test_drawn_rules(seed: int) -> None:
    chance = random.Random(seed)
    rules = drawn_rules(chance)
    table = VerdictTable(rules, "EUR", CATEGORIES)
    for _ in range(3):
        agree(rules, [drawn(chance) for _ in range(200)], table)


WHEN = {"countries": ["DE"], "channels": ["pos"], "weekdays": ["mon"]}


def test_what_is_remembered_is_forgotten_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_table, "_REMEMBERED", 20)
    chance = random.Random(1)
    rules = parse_rules(
        {
            "rules": [
                {
                    "id": "r",
                    "reason": "r",
                    "when": WHEN,
                }
            ]
        }
    )
    table = VerdictTable(rules, "EUR", CATEGORIES)
    for _ in range(5):
        agree(rules, [drawn(chance) for _ in range(100)], table)


def test_more_combinations_than_a_key_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_table, "_KEY_MAX", 10)
    chance = random.Random(2)
    agree(drawn_rules(chance), [drawn(chance) for _ in range(100)])
