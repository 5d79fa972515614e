"""Rules in plain Python."""

from typing import Any

import pytest

from fraudctl.recount.instants import HOUR_US
from fraudctl.recount.judgement import judge
from fraudctl.recount.parse import Transaction
from fraudctl.rules.model import parse_rules


def transaction(hour: int = 12, **changed: Any) -> Transaction:
    plain = Transaction(
        1, "t", 20_000 * 24 * HOUR_US + hour * HOUR_US, "c", "m", "Food", 100, "EUR", "DE", "pos"
    )
    return plain._replace(**changed)


def flagged(when: dict[str, object], subject: Transaction) -> bool:
    return judge(parse_rules({"rules": [{"id": "r", "reason": "because", "when": when}]}))(subject)


@pytest.mark.parametrize(
    ("when", "subject", "expected"),
    [
        ({"amount_over": 99}, transaction(), True),
        ({"amount_over": 100}, transaction(), False),
        ({"amount_over": {"Food": 99}}, transaction(), True),
        ({"amount_over": {"Food": 100}}, transaction(), False),
        ({"amount_over": {"Retail": 0}}, transaction(), False),
        ({"amount_over": {"Food": 0}}, transaction(), True),
        ({"amount_over": {}}, transaction(), False),
        ({"categories": ["Retail", "Food"]}, transaction(), True),
        ({"categories": ["Retail"]}, transaction(), False),
        ({"categories": []}, transaction(), False),
        ({"countries": ["DE"]}, transaction(), True),
        ({"countries": ["FR"]}, transaction(), False),
        ({"channels": ["pos"]}, transaction(), True),
        ({"channels": ["web"]}, transaction(), False),
        ({"amount_over": 99, "countries": ["FR"]}, transaction(), False),
        ({"amount_over": 99, "countries": ["DE"]}, transaction(), True),
    ],
)
def test_one_rule(when: dict[str, object], subject: Transaction, expected: bool) -> None:
    assert flagged(when, subject) is expected


@pytest.mark.parametrize(
    ("hours", "matching"),
    [
        ([1, 5], {1, 2, 3, 4}),
        ([0, 24], set(range(24))),
        ([22, 24], {22, 23}),
        ([22, 2], {22, 23, 0, 1}),
        ([23, 0], {23}),
        ([0, 1], {0}),
        ([24, 5], {0, 1, 2, 3, 4}),
        ([24, 0], set()),
    ],
)
def test_hours(hours: list[int], matching: set[int]) -> None:
    assert {hour for hour in range(24) if flagged({"hours_utc": hours}, transaction(hour))} == matching


def test_the_last_microsecond_before_the_end_is_still_inside() -> None:
    end = transaction(5)
    assert not flagged({"hours_utc": [1, 5]}, end)
    assert flagged({"hours_utc": [1, 5]}, end._replace(event_us=end.event_us - 1))


def test_any_of_several_rules_flags_and_no_rules_flag_nothing() -> None:
    rules = [
        {"id": "a", "reason": "a", "when": {"countries": ["FR"]}},
        {"id": "b", "reason": "b", "when": {"channels": ["pos"]}},
    ]
    assert judge(parse_rules({"rules": rules}))(transaction())
    assert not judge(parse_rules({"rules": rules[:1]}))(transaction())
    assert not judge(parse_rules({"rules": []}))(transaction())
