"""Rules as data: what is valid, how mistakes are named, and what names a version."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from fraudctl.config.rules_file import read_rules_document
from fraudctl.errors import ConfigError
from fraudctl.rules.model import document_digest, parse_rules


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return file


def rule(**changed: Any) -> dict[str, Any]:
    return {"id": "a", "reason": "because", "when": {"channels": ["pos"]}, **changed}


def carded(name: str = "c", enabled: bool = True, **conditions: int) -> dict[str, Any]:
    """A rule on what the card did before."""
    card = {"within_minutes": 10, "count_over": 2, **conditions}
    return rule(id=name, enabled=enabled, when={"channels": ["pos"], "card": card})


def test_each_mistake_is_named_with_file_and_line(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        rules:
          - id: Big Amount
            reason: big
            when: {amount_over: 5}
          - id: night
            weight: 101
            when:
              hours_utc: [1, 25]
          - id: elsewhere
            reason: abroad
            action: block
            when:
              weekdays: [mon, freitag]
              country: [DE]
        """,
    )
    with pytest.raises(ConfigError) as caught:
        parse_rules(read_rules_document(str(file)))
    found = {line.split(": ")[0]: line for line in caught.value.detail.splitlines()}
    for line, words in {
        2: "rules #1.id",
        5: "rules #2.reason: is missing",
        6: "rules #2.weight",
        8: "rules #2.when.hours_utc #2",
        11: 'rules #3.action: must be flag or alert, not the text "block"',
        13: "rules #3.when.weekdays #2",
        14: 'rules #3.when.country: there is no key "country"; did you mean countries?',
    }.items():
        assert words in found[f"{file}:{line}"]
    assert len(found) == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 5_000, "nested too deeply"),
        (
            "a: &a [1]\n"
            + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{(f'*{chr(97 + n)}, ' * 20)}]\n" for n in range(6)),
            "its aliases written out",
        ),
        ("rules: [", "the text ends within a list or a mapping"),
        ("rules: []\nrules: []", "is given twice"),
    ],
)
def test_what_cannot_be_a_document_is_told_at_once(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="is not valid YAML") as caught:
        read_rules_document(str(file))
    assert words in caught.value.detail


def test_a_mistake_in_what_was_not_read_from_a_file_is_named_as_well() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rules({"rules": [rule(weight=-1)]})
    assert caught.value.detail.startswith("rules #1.weight: ")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"rules": [rule(), rule()]}, "rule #1 has the same id, a"),
        ({"rules": [rule(when={})]}, "at least one condition"),
        ({"rules": [rule(when={"hours_utc": [3, 3]})]}, "at least one hour"),
        ({"rules": [rule(when={"categories": []})]}, "at least 1 entry"),
        ({"rules": [rule(when={"amount_over": {}})]}, "at least 1 entry"),
        ({"rules": [rule(when={"card": {"within_minutes": 5}})]}, "besides within_minutes"),
        ({"rules": [rule(when={"card": {"count_over": 2}})]}, "within_minutes: is missing"),
        ({"rules": [carded(within_minutes=0)]}, "must be 1 or more, not the number 0"),
        ({"rules": [carded(within_minutes=1441)]}, "must be 1440 or less"),
        ({"rules": [carded(count_over=0)]}, "must be 1 or more"),
        ({"rules": [carded(within_minutes=1, since_previous_under_seconds=61)]}, "further back"),
        ({"rules": [carded(sum_over=2**63)]}, "must be 9223372036854775807 or less"),
        ({"rules": [carded(amounts_over=3)]}, 'there is no key "amounts_over"'),
        ({"rules": [rule(reason="a\x00b")]}, "must be one line without control characters"),
        ({"rules": [rule(when={"categories": ["Food\n"]})]}, "must be one line without control characters"),
        ({"rules": [rule(weight="60")]}, 'must be a whole number, not the text "60"; write 60'),
        ({"rules": [rule(enabled="yes")]}, 'must be true or false, not the text "yes"; write true'),
        ({"rules": [rule(when={"amount_over": 2**63})]}, "must be 9223372036854775807 or less"),
        ({"rules": [rule(when={"amount_over": 9, "amount_under": 10})]}, "no amount is over 9 and under 10"),
        ({"rules": [rule(id=f"r{number}") for number in range(201)]}, "at most 200 entries, and has 201"),
        ({"rules": [rule(version=0)]}, "must be 1 or more"),
        ({"rules": [], "alert_score": 0}, "must be 1 or more"),
        ({}, "rules: is missing"),
    ],
)
def test_what_makes_no_sense_is_refused(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rules(document)
    assert words in caught.value.detail


def test_an_alias_is_found_in_the_line_where_it_was_written(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        rules:
          - id: a
            reason: one
            when: &when
              hours_utc: [5, 5]
          - {id: b, reason: two, when: *when}
        """,
    )
    with pytest.raises(ConfigError) as caught:
        parse_rules(read_rules_document(str(file)))
    assert {line.split(": ")[0] for line in caught.value.detail.splitlines()} == {f"{file}:5"}


def test_a_document_gives_the_same_set_again() -> None:
    rules = parse_rules(
        {"rules": [rule(), rule(id="b", when={"amount_over": {"Food": 3}})], "alert_score": 9}
    )
    assert parse_rules(rules.document) == rules
    assert parse_rules(rules.document).digest == rules.digest == document_digest(rules.document)


def test_conditions_on_the_card_are_part_of_the_document() -> None:
    rules = parse_rules({"rules": [carded(merchants_over=3, since_previous_under_seconds=600)]})
    assert parse_rules(rules.document) == rules
    assert rules.document["rules"][0]["when"]["card"] == {
        "within_minutes": 10,
        "count_over": 2,
        "merchants_over": 3,
        "since_previous_under_seconds": 600,
    }


@pytest.mark.parametrize(
    ("rules", "seconds"),
    [
        ([], 0),
        ([rule()], 0),
        ([rule(), carded()], 600),
        ([carded(within_minutes=3), carded("d", within_minutes=7), carded("e", within_minutes=5)], 420),
        ([carded(), carded("d", enabled=False, within_minutes=1440)], 600),
        ([carded(enabled=False)], 0),
    ],
)
def test_the_horizon_is_the_furthest_look_back_of_a_rule_that_counts(
    rules: list[dict[str, Any]], seconds: int
) -> None:
    assert parse_rules({"rules": rules}).card_horizon_seconds == seconds


def test_what_is_left_to_its_default_is_the_same_set() -> None:
    full = rule(version=1, weight=50, action="flag", enabled=True)
    assert parse_rules({"rules": [full]}).digest == parse_rules({"rules": [rule()]}).digest


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"weight": 51},
        {"action": "alert"},
        {"enabled": False},
        {"reason": "otherwise"},
        {"when": {"channels": ["web"]}},
        {"when": {"channels": ["pos"], "card": {"within_minutes": 1, "count_over": 1}}},
    ],
)
def test_every_change_gives_another_digest(changed: dict[str, Any]) -> None:
    assert parse_rules({"rules": [rule(**changed)]}).digest != parse_rules({"rules": [rule()]}).digest
