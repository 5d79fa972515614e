"""A rule that no rule set has is told, as no alert of it can be found."""

import pytest

from fraudctl.operations.alerts import unknown_rule

REASONS = {"now": {"high-amount": "much", "night": "late"}, "before": {"velocity": "often"}}


@pytest.mark.parametrize("rule", [None, "high-amount", "velocity"])
def test_a_rule_of_any_recorded_set_needs_no_note(rule: str | None) -> None:
    assert unknown_rule(rule, REASONS) == ""


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("hihg-amount", "has a rule 'hihg-amount'; did you mean high-amount?"),
        ("nope", "has a rule 'nope'; the rules are high-amount, night, velocity"),
        ("", "has a rule ''"),
    ],
)
def test_a_rule_of_none_is_told_with_those_that_there_are(rule: str, words: str) -> None:
    assert words in unknown_rule(rule, REASONS)


def test_before_the_first_detector_there_are_no_rules() -> None:
    assert unknown_rule("night", {}) == "there is no rule 'night': no rules have been active yet"
