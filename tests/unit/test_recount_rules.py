"""Rules in plain Python."""

from typing import Any

import pytest

from fraudctl.recount.instants import DAY_US, HOUR_US
from fraudctl.recount.judgement import judge
from fraudctl.recount.parse import Transaction
from fraudctl.rules.model import WEEKDAYS, parse_rules


def transaction(hour: int = 12, **changed: Any) -> Transaction:
    plain = Transaction(
        1, "t", 20_000 * 24 * HOUR_US + hour * HOUR_US, "c", "m", "Food", 100, "EUR", "DE", "pos"
    )
    return plain._replace(**changed)


def flagged(when: dict[str, object], subject: Transaction) -> bool:
    return judge(parse_rules({"rules": [{"id": "r", "reason": "because", "when": when}]}))(subject).flagged


@pytest.mark.parametrize(
    ("when", "subject", "expected"),
    [
        ({"amount_over": 99}, transaction(), True),
        ({"amount_over": 100}, transaction(), False),
        ({"amount_over": {"Food": 99}}, transaction(), True),
        ({"amount_over": {"Food": 100}}, transaction(), False),
        ({"amount_over": {"Retail": 0}}, transaction(), False),
        ({"amount_over": {"Food": 0}}, transaction(), True),
        ({"amount_under": 101}, transaction(), True),
        ({"amount_under": 100}, transaction(), False),
        ({"amount_under": {"Food": 101}}, transaction(), True),
        ({"amount_under": {"Retail": 101}}, transaction(), False),
        ({"amount_over": 50, "amount_under": 101}, transaction(), True),
        ({"categories": ["Retail", "Food"]}, transaction(), True),
        ({"categories": ["Retail"]}, transaction(), False),
        ({"not_categories": ["Retail"]}, transaction(), True),
        ({"not_categories": ["Retail", "Food"]}, transaction(), False),
        ({"not_countries": ["FR"]}, transaction(), True),
        ({"not_countries": ["DE", "FR"]}, transaction(), False),
        ({"not_channels": ["web"]}, transaction(), True),
        ({"not_channels": ["pos"]}, transaction(), False),
        ({"countries": ["DE"], "not_channels": ["pos"]}, transaction(), False),
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
    assert judge(parse_rules({"rules": rules}))(transaction()).flagged
    assert not judge(parse_rules({"rules": rules[:1]}))(transaction()).flagged
    assert not judge(parse_rules({"rules": []}))(transaction()).flagged


@pytest.mark.parametrize(("day", "name"), list(enumerate(["thu", "fri", "sat", "sun", "mon", "tue", "wed"])))
def test_weekdays_begin_at_midnight_in_utc(day: int, name: str) -> None:
    first = transaction(event_us=day * DAY_US)
    last = transaction(event_us=(day + 1) * DAY_US - 1)
    for found in WEEKDAYS:
        expected = found == name
        assert flagged({"weekdays": [found]}, first) is expected
        assert flagged({"weekdays": [found]}, last) is expected


def rule(name: str, matches: bool, **more: object) -> dict[str, object]:
    return {"id": name, "reason": name, "when": {"channels": ["pos" if matches else "web"]}, **more}


def test_the_score_adds_up_what_matches_and_ends_at_100() -> None:
    rules = [rule("a", True, weight=60), rule("b", False, weight=7), rule("c", True, weight=30)]
    verdict = judge(parse_rules({"rules": rules}))(transaction())
    assert verdict == (("a", "c"), 90, False)
    verdict = judge(parse_rules({"rules": [*rules, rule("d", True, weight=30)]}))(transaction())
    assert verdict == (("a", "c", "d"), 100, False)


def test_an_alert_comes_of_an_action_or_of_the_score() -> None:
    flag, alert = rule("f", True, weight=40), rule("a", True, weight=0, action="alert")
    assert not judge(parse_rules({"rules": [flag]}))(transaction()).alert
    assert judge(parse_rules({"rules": [flag, alert]}))(transaction()).alert
    assert not judge(parse_rules({"rules": [flag], "alert_score": 41}))(transaction()).alert
    assert judge(parse_rules({"rules": [flag], "alert_score": 40}))(transaction()).alert


def test_a_rule_that_is_off_does_nothing() -> None:
    off = rule("off", True, weight=100, action="alert", enabled=False)
    assert judge(parse_rules({"rules": [off], "alert_score": 1}))(transaction()) == ((), 0, False)
