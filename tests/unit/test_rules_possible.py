"""Rules that ask for what no event can have are refused, and conditions that ask nothing are told."""

import json
from pathlib import Path

import pytest

from fraudctl.config.load import load
from fraudctl.config.rules_file import read_rules_document
from fraudctl.errors import ConfigError
from fraudctl.operations.rules.check import checked_rules
from tests.support import forests

SETTINGS = load().settings
CATEGORIES = ", ".join(SETTINGS.events.categories)
EVERY_COUNTRY = ", ".join(f'"{chr(65 + a)}{chr(65 + b)}"' for a in range(26) for b in range(26))


def document(tmp_path: Path, when: str, more: str = "") -> str:
    """Write rules with one rule of these conditions; they stand in line 4."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"rules:\n  - id: a\n    reason: r\n    when: {when}\n{more}", encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        # What the folder 17-rules-never-match shows.
        ("{countries: [us]}", "did you mean US?"),
        ("{countries: [USA]}", "'USA' in countries: no event has this country"),
        ("{channels: [ECOM, Online]}", "did you mean ecom?"),
        ("{not_countries: [us]}", "'us' in not_countries"),
        ("{categories: [Food], not_categories: [Food]}", "no category is left"),
        (f"{{not_categories: [{CATEGORIES}]}}", "no category is left"),
        ("{amount_over: 999999999999}", "the highest of an event is 10000000000"),
        # Siblings.
        ("{categories: [food]}", "did you mean Food?"),
        ("{not_categories: [Travel]}", "Travel in not_categories: no event has this category"),
        ("{amount_over: {Fod: 5}}", "Fod in amount_over: no event has this category"),
        ("{not_channels: [Card Present]}", "did you mean card_present?"),
        ("{channels: [1st]}", "no event has this channel"),
        ("{countries: [ÖS]}", "no event has this country"),
        ("{countries: ['']}", "no event has this country"),
        ("{countries: [\u0405E]}", "(it holds U+0405 CYRILLIC CAPITAL LETTER DZE) in countries"),
        ("{countries: [\u201cSE\u201d]}", "U+201C LEFT DOUBLE QUOTATION MARK, U+201D RIGHT DOUBLE"),
        ("{channels: [p\u043es]}", "U+043E CYRILLIC SMALL LETTER O"),
        ("{categories: [F\u043eod]}", "(it holds U+043E CYRILLIC SMALL LETTER O) in categories"),
        ("{categories: [Food\u200b]}", "(it holds U+200B ZERO WIDTH SPACE) in categories"),
        ("{amount_over: {F\u043eod: 5}}", "(it holds U+043E CYRILLIC SMALL LETTER O) in amount_over"),
        ("{countries: [DE, FR], not_countries: [FR, DE]}", "countries [DE, FR], not_countries [FR, DE]"),
        ("{channels: [pos], not_channels: [pos, chip]}", "nothing is left"),
        (f"{{not_countries: [{EVERY_COUNTRY}]}}", "every country that there can be"),
        ("{amount_over: 10000000000}", "no amount is over 10000000000"),
        ("{amount_over: {Food: 99999999999}}", "amount_over.Food: no amount is over 99999999999"),
        ("{amount_under: 1}", "no amount is under 1"),
        ("{amount_under: 0}", "no amount is under 0"),
        ("{categories: [Retail], amount_over: {Food: 5}}", "categories [Retail], amount_over [Food]"),
        ("{not_categories: [Food], amount_under: {Food: 5}}", "no category is left"),
        ("{amount_over: {Food: 5}, amount_under: {Retail: 9}}", "no category is left"),
        ("{amount_over: {Food: 50}, amount_under: 40}", "over the one limit and under the other"),
        ("{hours_utc: [24, 0]}", "write [0, 24]"),
        ("{card: {within_minutes: 5, countries_over: 676}}", "only 676 different countries"),
    ],
)
def test_what_can_never_match_is_refused_with_its_line(tmp_path: Path, when: str, words: str) -> None:
    file = document(tmp_path, when)
    with pytest.raises(ConfigError, match="no event can have") as caught:
        checked_rules(SETTINGS, read_rules_document(file))
    assert words in caught.value.detail
    assert caught.value.detail.startswith(f"{file}:4: rule a: ")


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("{amount_over: 0}", "it matches every event"),
        ("{amount_under: 10000000001}", "it matches every event"),
        ("{hours_utc: [0, 24]}", "it matches every event: it names every hour"),
        ("{weekdays: [mon, tue, wed, thu, fri, sat, sun]}", "it names every weekday"),
        (f"{{categories: [{CATEGORIES}]}}", "it names every category"),
        (f"{{countries: [{EVERY_COUNTRY}]}}", "every country"),
        ("{amount_over: 0, countries: [DE]}", "amount_over: every amount is over 0"),
        ("{countries: [DE, FR], not_countries: [FR]}", "FR is in countries and in not_countries"),
        ("{countries: [DE], not_countries: [FR]}", "not_countries: it changes nothing"),
        ("{weekdays: [mon, mon]}", "mon is twice in the list"),
        ("{countries: [UK]}", "countries: UK is no country's code in ISO 3166-1; did you mean GB?"),
        ("{countries: [DE, ZZ]}", "countries: ZZ is no country's code in ISO 3166-1"),
        ("{not_countries: [EU]}", "not_countries: EU is no country's code in ISO 3166-1"),
        ("{countries: [SU]}", "did you mean RU?"),
        ("{categories: [Food], amount_over: {Food: 5, Retail: 6}}", "the limit for Retail is idle"),
        ("{amount_over: {Food: 50, Retail: 5}, amount_under: 40}", "no amount of Food meets the limits"),
        ("{amount_over: 100, card: {within_minutes: 5, sum_over: 50}}", "each is 101 at least"),
        ("{card: {within_minutes: 5, count_over: 2, merchants_over: 2}}", "card.count_over: it changes"),
        ("{card: {within_minutes: 5, count_over: 1, since_previous_under_seconds: 9}}", "asks for more"),
    ],
)
def test_what_asks_nothing_is_told_with_its_line(tmp_path: Path, when: str, words: str) -> None:
    file = document(tmp_path, when)
    (warning,) = checked_rules(SETTINGS, read_rules_document(file)).warnings
    assert words in warning
    assert warning.startswith(f"{file}:4: rule a: ")


@pytest.mark.parametrize(
    ("score_over", "features", "words"),
    [
        (70, ["amount_minor"], "the highest score of this forest is 70.00 hundredths"),
        (20, ["amount_minor", "category=Fod"], "Fod in model: no event has this category"),
    ],
)
def test_a_forest_that_never_scores_so_high_is_refused(
    tmp_path: Path, score_over: int, features: list[str], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_rules(SETTINGS, read_rules_document(with_forest(tmp_path, features, score_over)))
    assert words in caught.value.detail


def test_a_forest_that_always_scores_higher_is_told(tmp_path: Path) -> None:
    rules = read_rules_document(with_forest(tmp_path, ["amount_minor"], 29))
    assert not checked_rules(
        SETTINGS, read_rules_document(with_forest(tmp_path, ["amount_minor"], 30))
    ).warnings
    (warning,) = checked_rules(SETTINGS, rules).warnings
    assert "it matches every event: the lowest score of this forest is 30.00 hundredths" in warning


def with_forest(tmp_path: Path, features: list[str], score_over: int) -> str:
    """Write a rule with a forest whose scores are 0.3 and 0.7."""
    forest = forests.forest(features, [("amount_minor", 500, 300_000, 700_000)])
    (tmp_path / "model.json").write_text(json.dumps(forest), encoding="utf-8")
    return document(tmp_path, f"{{model: {{file: model.json, score_over: {score_over}}}}}")


def test_a_rule_that_repeats_another_is_told(tmp_path: Path) -> None:
    again = "  - {id: b, reason: r, when: {countries: [DE]}}\n"
    file = document(tmp_path, "{countries: [DE]}", again + again.replace("id: b", "id: c, enabled: false"))
    (warning,) = checked_rules(SETTINGS, read_rules_document(file)).warnings
    assert warning == f"{file}:5: rule b: it has the same conditions as rule a"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{categories: [Retail, Food]}", "{categories: [Food, Retail]}"),
        ("{weekdays: [sat, sun], amount_over: 5}", "{amount_over: 5, weekdays: [sun, sat]}"),
        ("{amount_over: {Food: 5, Retail: 6}}", "{amount_over: {Retail: 6, Food: 5}}"),
        ("{not_countries: [DE, FR]}", "{not_countries: [FR, DE]}"),
    ],
)
def test_the_order_of_a_list_makes_no_other_condition(tmp_path: Path, one: str, other: str) -> None:
    file = document(tmp_path, one, f"  - {{id: b, reason: r, when: {other}}}\n")
    (warning,) = checked_rules(SETTINGS, read_rules_document(file)).warnings
    assert warning == f"{file}:5: rule b: it has the same conditions as rule a"


def test_the_order_of_hours_makes_another_condition(tmp_path: Path) -> None:
    file = document(tmp_path, "{hours_utc: [1, 5]}", "  - {id: b, reason: r, when: {hours_utc: [5, 1]}}\n")
    assert not checked_rules(SETTINGS, read_rules_document(file)).warnings


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("{countries: [us]}", "'us' in countries: no event has this country"),
        ("{categories: [Food], not_categories: [Food]}", "no category is left"),
        ("{amount_over: 99999999999}", "no amount is over 99999999999"),
    ],
)
def test_a_rule_that_is_switched_off_may_never_match(tmp_path: Path, when: str, words: str) -> None:
    file = document(
        tmp_path, "{countries: [DE]}", f"  - {{id: b, reason: r, enabled: false, when: {when}}}\n"
    )
    (warning,) = checked_rules(SETTINGS, read_rules_document(file)).warnings
    assert warning.startswith(f"{file}:5: rule b: ")
    assert words in warning
    assert warning.endswith("(the rule is switched off)")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: []\n", "rules: there is no rule, so nothing is flagged"),
        (
            "rules:\n  - {id: a, reason: r, enabled: false, when: {countries: [DE]}}\n",
            "rules: every rule is switched off, so nothing is flagged",
        ),
    ],
)
def test_rules_of_which_none_counts_are_told(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    assert checked_rules(SETTINGS, read_rules_document(str(file))).warnings == (f"{file}:1: {words}",)


def test_a_score_that_no_weights_reach_is_told(tmp_path: Path) -> None:
    file = document(tmp_path, "{countries: [DE]}", "alert_score: 60\n")
    (warning,) = checked_rules(SETTINGS, read_rules_document(file)).warnings
    assert warning == (
        f"{file}:5: alert_score: no score reaches 60: the weights of all rules together are 50"
    )


@pytest.mark.parametrize(
    "when",
    [
        "{countries: [DE, US], channels: [pos, card_not_present]}",
        "{hours_utc: [22, 6], weekdays: [sat, sun]}",
        "{amount_over: {Food: 5}, categories: [Food]}",
        "{amount_over: 5, amount_under: {Food: 9, Retail: 90}}",
        "{not_categories: [Food], not_countries: [DE], not_channels: [pos]}",
        "{amount_over: 9999999999}",
        "{card: {within_minutes: 5, countries_over: 1, sum_over: 5000}, amount_over: 100}",
    ],
)
def test_of_rules_that_can_match_nothing_is_said(tmp_path: Path, when: str) -> None:
    assert not checked_rules(SETTINGS, read_rules_document(document(tmp_path, when))).warnings


def test_a_reason_may_be_written_in_any_language(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        'rules:\n  - id: hoch\n    reason: "Betrag über 600 € → prüfen"\n    when: {amount_over: 60000}\n',
        encoding="utf-8",
    )
    checked = checked_rules(SETTINGS, read_rules_document(str(file)))
    assert checked.rules.rules[0].reason == "Betrag über 600 € → prüfen"
    assert not checked.warnings


def test_of_the_rules_that_come_with_the_program_nothing_is_said() -> None:
    assert not checked_rules(SETTINGS, read_rules_document("rules.yaml")).warnings
