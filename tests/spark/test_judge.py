"""Rules in the JVM against the rules in plain Python: one verdict for every transaction."""

import json
import random
from typing import Any

import pytest
from pyspark.sql import SparkSession

from fraudctl.recount.instants import DAY_US, HOUR_US
from fraudctl.recount.judgement import judge
from fraudctl.recount.parse import Transaction
from fraudctl.rules.model import WEEKDAYS, parse_rules
from tests.support import forests

pytestmark = pytest.mark.spark

CATEGORIES, COUNTRIES, CHANNELS = ["Retail", "Food", "Electronics"], ["DE", "FR", "US"], ["pos", "web", "atm"]


def _some(draw: random.Random, names: list[str]) -> list[str]:
    return draw.sample(names, draw.randint(1, len(names)))


def _limit(draw: random.Random) -> object:
    if draw.random() < 0.5:
        return draw.randint(0, 12)
    return {name: draw.randint(0, 12) for name in _some(draw, CATEGORIES)}


def _forest(draw: random.Random) -> dict[str, object]:
    named = [f"category={name}" for name in CATEGORIES] + [f"channel={name}" for name in CHANNELS]
    limits = {"amount_minor": range(13), "hour_utc": range(23), "weekday": range(6)}
    return forests.drawn(draw, limits | {name: [0] for name in _some(draw, named)})


def _when(draw: random.Random) -> dict[str, object]:
    first = draw.randint(0, 23)
    every = {
        "amount_over": _limit(draw),
        "amount_under": _limit(draw),
        "hours_utc": [first, draw.choice([hour for hour in range(25) if hour != first])],
        "weekdays": _some(draw, list(WEEKDAYS)),
        "categories": _some(draw, CATEGORIES),
        "countries": _some(draw, COUNTRIES),
        "channels": _some(draw, CHANNELS),
        "not_categories": _some(draw, CATEGORIES),
        "not_countries": _some(draw, COUNTRIES),
        "not_channels": _some(draw, CHANNELS),
        "model": {"forest": _forest(draw), "score_over": draw.randint(20, 70)},
    }
    chosen = draw.sample(sorted(every), draw.randint(1, 3))
    when = {name: every[name] for name in chosen}
    over, under = when.get("amount_over"), when.get("amount_under")
    if isinstance(over, int) and isinstance(under, int) and under <= over + 1:
        del when["amount_under"]  # together they are refused, as nothing could match
    return when


def _document(draw: random.Random, number: int) -> dict[str, Any]:
    rules = [
        {
            "id": f"rule-{place}",
            "reason": "drawn",
            "weight": draw.randint(0, 100),
            "action": draw.choice(["flag", "flag", "alert"]),
            "enabled": draw.random() < 0.8,
            "when": _when(draw),
        }
        for place in range(number)
    ]
    return {"rules": rules, **({"alert_score": draw.randint(1, 100)} if draw.random() < 0.5 else {})}


def _transaction(draw: random.Random) -> Transaction:
    # Whole hours and days and the microseconds around them are where two implementations may part.
    time = draw.randint(0, 40_000) * DAY_US + draw.randint(0, 23) * HOUR_US + draw.choice([0, 1, HOUR_US - 1])
    fields = (
        draw.choice(CATEGORIES),
        draw.randint(1, 12),
        "EUR",
        draw.choice(COUNTRIES),
        draw.choice(CHANNELS),
    )
    return Transaction(1, "t", time, "c", "m", *fields)


def _facts(jvm: Any, one: Transaction) -> Any:
    """The transaction as the JVM's rules see it."""
    text = jvm.org.apache.spark.unsafe.types.UTF8String.fromString
    facts = jvm.fraudctl.Facts()
    getattr(facts, "eventTimeUs_$eq")(one.event_us)
    getattr(facts, "amountMinor_$eq")(one.amount_minor)
    getattr(facts, "category_$eq")(text(one.category))
    getattr(facts, "country_$eq")(text(one.country))
    getattr(facts, "channel_$eq")(text(one.channel))
    return facts


def test_both_judge_alike(spark: SparkSession) -> None:
    jvm: Any = spark._jvm
    draw = random.Random(6)
    transactions = [_transaction(draw) for _ in range(400)]
    facts = [_facts(jvm, one) for one in transactions]
    matched = scored = 0
    for number in (0, 1, 1, 2, 3, 5, 8, 12):
        rules = parse_rules(_document(draw, number))
        scored += sum(rule.when.model is not None for rule in rules.enabled)
        compiled = jvm.fraudctl.RuleSet.of(jvm.fraudctl.RulesDocument(json.dumps(rules.document)))
        expected = [judge(rules)(one) for one in transactions]
        matched += sum(one.flagged for one in expected)
        for one, ours, asked in zip(transactions, expected, facts, strict=True):
            theirs = compiled.evaluate(asked)
            # What no rule matches has no verdict.
            found = (theirs.rules(), theirs.score(), theirs.alert()) if theirs is not None else ("", 0, False)
            assert found == (",".join(ours.rules), ours.score, ours.alert), f"{one} under {rules}"
    assert scored > 3
    assert matched > 300, "rules that match nothing prove nothing"
