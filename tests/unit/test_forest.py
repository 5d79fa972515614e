"""Forests: what is one, the score by hand and drawn, and that more of a card's past never lowers it."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fraudctl.config.rules_file import read_rules_document
from fraudctl.errors import ConfigError
from fraudctl.recount.forest import scorer
from fraudctl.recount.parse import Transaction
from fraudctl.recount.past import Past, pasts
from fraudctl.rules.forest import MILLION, PAST_FEATURES, Forest
from fraudctl.rules.model import parse_rules
from tests.support import forests
from tests.support.card_events import NOON_US

# A Tuesday, 14:30.
TRANSACTION = Transaction(1, "t", NOON_US + 9_000_000_000, "c", "m", "Food", 1234, "EUR", "DE", "online")
PAST = Past(3, 5000, 2, 1, 90_999_999)
KNOWN = {
    "amount_minor": 1234,
    "hour_utc": 14,
    "weekday": 1,
    "category=Food": 1,
    "category=Retail": 0,
    "channel=online": 1,
    "card_count": 3,
    "card_sum_minor": 5000,
    "card_countries": 2,
    "card_merchants": 1,
    "card_since_previous_seconds": 90,
}


def made(*trees: forests.Nested, features: tuple[str, ...] = ("amount_minor",)) -> Forest:
    return Forest.model_validate(forests.forest(features, trees))


@pytest.mark.parametrize(("feature", "value"), KNOWN.items())
def test_each_feature_is_what_it_says(feature: str, value: int) -> None:
    within = 5 if feature in PAST_FEATURES else None
    for limit, expected in ((value - 1, 7), (value, 3)):
        left, right = (7, 3) if PAST_FEATURES.get(feature) == -1 else (3, 7)
        document = forests.forest([feature], [(feature, limit, left, right)], within_minutes=within)
        score = scorer(Forest.model_validate(document))(TRANSACTION, PAST if within else None)
        assert score == (expected if (left, right) == (3, 7) else 10 - expected)


def test_without_one_before_the_whole_span_has_passed() -> None:
    name = "card_since_previous_seconds"
    for limit, expected in ((299, 0), (300, 9)):
        forest = forests.forest([name], [(name, limit, 9, 0)], within_minutes=5)
        assert (
            scorer(Forest.model_validate(forest))(TRANSACTION, PAST._replace(since_previous_us=None))
            == expected
        )


def test_the_score_is_the_mean_of_the_trees_rounded_down() -> None:
    forest = made(("amount_minor", 1000, 1, ("amount_minor", 2000, 500_000, 2)), 3, 4)
    assert scorer(forest)(TRANSACTION, None) == 500_007 // 3


@pytest.mark.parametrize("seed", range(50))
def test_drawn_forests_score_as_the_specification_says(seed: int) -> None:
    draw = random.Random(seed)
    limits = {name: [value - 1, value, value + 1] for name, value in KNOWN.items()}
    document = forests.drawn(draw, limits, within_minutes=5)
    assert scorer(Forest.model_validate(document))(TRANSACTION, PAST) == forests.score(document, KNOWN)


@pytest.mark.parametrize("seed", range(20))
def test_more_of_the_past_never_lowers_the_score(seed: int) -> None:
    draw = random.Random(seed)
    limits = {
        "card_count": [1, 2, 4, 7],
        "card_sum_minor": [300, 900, 2000],
        "card_countries": [1, 2],
        "card_merchants": [1, 2],
        "card_since_previous_seconds": [1, 5, 20, 60],
        "amount_minor": [100, 400],
    }
    score = scorer(Forest.model_validate(forests.drawn(draw, limits, within_minutes=5)))
    history = [
        TRANSACTION._replace(
            event_us=TRANSACTION.event_us + number * draw.randint(1, 90) * 1_000_000,
            amount_minor=draw.randint(1, 800),
            country=draw.choice(["DE", "FR", "US"]),
            merchant_id=draw.choice(["m", "n"]),
        )
        for number in range(12)
    ]
    history.sort(key=lambda one: one.event_us)
    last = history[-1]
    known = [one for one in history[:-1] if draw.random() < 0.4]
    before = 0
    for more in history[:-1]:
        if more not in known:
            known = sorted([*known, more], key=lambda one: one.event_us)
        *_, past = pasts([*known, last], 300_000_000)
        assert score(last, past) >= before
        before = score(last, past)


def bent(change: dict[str, Any] | None = None, **tree: Any) -> dict[str, Any]:
    document = forests.forest(["amount_minor"], [("amount_minor", 5, 1, 2)])
    document["trees"][0] |= tree
    return document | (change or {})


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (bent(left=[0, 1, 2]), "node 0 does not lead on"),
        (bent(left=[3, 1, 2]), "node 0 does not lead on"),
        (bent(right=[2, 0, 2]), "node 1 does not lead on"),
        (bent(value=[0, 1]), "as many nodes in each"),
        (bent(value=[0, 1, MILLION + 1]), "not from 0 to 1,000,000"),
        (bent(feature=[1, 0, 0]), "a feature that is not there"),
        (bent(feature=[0.5, 0, 0]), "valid integer"),
        (bent({"features": ["amount"]}), "match pattern"),
        (bent({"features": ["amount_minor", "amount_minor"]}), "named twice"),
        (bent({"within_minutes": 5}), "within_minutes goes with"),
        (bent({"features": ["card_count"]}), "within_minutes goes with"),
        (bent({"features": ["card_count"], "within_minutes": 5}, value=[0, 2, 1]), "a lower score at node 0"),
        (
            bent({"features": ["card_since_previous_seconds"], "within_minutes": 5}),
            "a lower score at node 0",
        ),
        (bent({"trees": []}), "at least 1"),
        (bent({"format": 2}), "Input should be 1"),
    ],
)
def test_what_is_no_forest_is_refused(document: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Forest.model_validate(document)
    assert what in str(refused.value)


def test_a_trained_forest_is_what_its_name_says() -> None:
    forest = Forest.model_validate(bent())
    named = bent({"name": f"forest-{forest.fingerprint}"})
    assert Forest.model_validate(named).trees == forest.trees
    for change in ({"features": ["weekday"]}, {"name": "forest-000000000000"}):
        with pytest.raises(ValidationError, match="was changed after training"):
            Forest.model_validate(named | change)


def test_a_fall_far_below_a_node_is_found() -> None:
    deep = ("card_count", 3, ("amount_minor", 5, 1, ("amount_minor", 9, 2, 6)), ("amount_minor", 7, 5, 8))
    for least, good in ((5, False), (6, True)):
        tree = (*deep[:3], ("amount_minor", 7, least, 8))
        document = forests.forest(["card_count", "amount_minor"], [tree], within_minutes=5)
        if good:
            Forest.model_validate(document)
        else:
            with pytest.raises(ValidationError, match="a lower score at node 0"):
                Forest.model_validate(document)


RULES = """\
rules:
  - id: learned
    reason: looks like fraud
    when:
      model: {{file: {file}, score_over: {limit}}}
"""


def write(folder: Path, model: str, *, file: str = "model.json", limit: int = 40) -> str:
    (folder / "model.json").write_text(model, encoding="utf-8")
    (folder / "rules.yaml").write_text(RULES.format(file=file, limit=limit), encoding="utf-8")
    return str(folder / "rules.yaml")


def test_a_rules_file_names_a_model_beside_it(tmp_path: Path) -> None:
    model = forests.forest(["card_count"], [("card_count", 2, 0, 10)], within_minutes=7)
    rules = parse_rules(read_rules_document(write(tmp_path, json.dumps(model))))
    (rule,) = rules.rules
    assert rule.when.model is not None
    assert rule.when.model.forest == Forest.model_validate(model)
    assert rules.card_horizon_seconds == 420
    assert parse_rules(rules.document) == rules
    other = forests.forest(["card_count"], [("card_count", 2, 0, 11)], within_minutes=7)
    assert parse_rules(read_rules_document(write(tmp_path, json.dumps(other)))).digest != rules.digest


@pytest.mark.parametrize(
    ("model", "file", "what"),
    [
        ("{}", "other.json", "rules.yaml:5: "),
        ("no JSON", "model.json", "rules.yaml:5: "),
        ("[1]", "model.json", "is not a JSON object"),
    ],
)
def test_a_model_that_cannot_be_read_is_named(tmp_path: Path, model: str, file: str, what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_rules_document(write(tmp_path, model, file=file))
    assert what in f"{refused.value.message} {refused.value.detail}"


def test_a_model_that_is_none_is_refused_with_its_place(tmp_path: Path) -> None:
    document = read_rules_document(write(tmp_path, json.dumps(bent(value=[0, 1]))))
    with pytest.raises(ConfigError, match="rules are not valid") as refused:
        parse_rules(document)
    assert "rules.yaml:5: rules #1.when.model.forest.trees #1: a tree needs" in refused.value.detail


def test_a_rule_looks_back_in_one_way() -> None:
    model = {"forest": forests.forest(["card_count"], [5], within_minutes=7), "score_over": 1}
    when = {"model": model, "card": {"within_minutes": 5, "count_over": 1}}
    with pytest.raises(ConfigError) as refused:
        parse_rules({"rules": [{"id": "both", "reason": "both", "when": when}]})
    assert "either by `card` or by its model" in refused.value.detail
