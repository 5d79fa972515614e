"""Whatever a document gets wrong is said in plain words, with its line, and never in the validator's."""

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from fraudctl import assets
from fraudctl.config.load import load
from fraudctl.config.model import Settings
from fraudctl.config.preset_file import read_mapping_document, read_preset_document
from fraudctl.config.rules_file import read_rules_document
from fraudctl.config.wording import problem_lines
from fraudctl.errors import ConfigError
from fraudctl.rules.model import RuleSet, parse_rules
from fraudctl.simulator.mapping import Mapping as TableMapping
from fraudctl.simulator.mapping import parse_mapping
from fraudctl.simulator.preset import HabitsPreset, HandbookPreset, parse_preset
from tests.support import forests

VALIDATOR = re.compile(
    r"Input should|valid (integer|string|tuple|dictionary|list|boolean|number|date)|constrained|instance of"
    r"|not permitted|should match|should have|[Ff]ield required|dictionary|[Tt]uple|Value error|pydantic"
    r"|validation error|function-|Keys should|errors\.|type=|\bNone\b|\bTrue\b|\bFalse\b|\bdict\b|\bint\b"
)
FOREST = forests.forest(
    ["amount_minor", "card_count"], [("amount_minor", 5, 3, 7), ("card_count", 2, 1, 9)], within_minutes=5
)
RULES: dict[str, Any] = {
    "rules": [
        {
            "id": "a",
            "version": 2,
            "reason": "because",
            "weight": 60,
            "action": "alert",
            "enabled": True,
            "when": {
                "amount_over": {"Food": 5, "Retail": 9},
                "amount_under": 500,
                "hours_utc": [1, 5],
                "weekdays": ["mon", "tue"],
                "categories": ["Food"],
                "not_countries": ["DE"],
                "card": {"within_minutes": 5, "count_over": 3},
            },
        },
        {"id": "b", "reason": "because", "when": {"model": {"forest": FOREST, "score_over": 5}}},
    ],
    "alert_score": 80,
}


def plain(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document


CONFIGS = assets.configs()
DOCUMENTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "settings": (Settings, plain(CONFIGS / "default.yaml")),
    "rules": (RuleSet, RULES),
    "sparkov": (TableMapping, plain(CONFIGS / "mappings" / "sparkov.yaml")),
    "ieee": (TableMapping, plain(CONFIGS / "mappings" / "ieee.yaml")),
    "rough": (HabitsPreset, plain(CONFIGS / "scenarios" / "rough.yaml")),
    "handbook": (HandbookPreset, plain(CONFIGS / "scenarios" / "handbook.yaml")),
}
WRONG = [
    *(None, True, -1, 10**30, 0.5, 3.0, float("inf"), float("nan"), 20180401, "", "x", "60", "yes", "a\nb"),
    *("Über", "2026-13-45", "x" * 5000, [], ["a"], [1, 2, 3], [None], [True], ["\ud800"], {}, {"a": "b"}),
    *({"a": 1, "b": -1}, {5: 5}, {"": 0}, [[1]], [{"a": 1}], b"bytes"),
]


def ways(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from ways(inner, (*way, key))


def spoiled(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the document with each of its values replaced, left out and given one key too many."""
    for way in ways(document):
        if not way:
            continue
        for wrong in (*WRONG, "left out", "one more"):
            changed = copy.deepcopy(document)
            holder: Any = changed
            for part in way[:-1]:
                holder = holder[part]
            if wrong == "left out":
                del holder[way[-1]]
            elif wrong == "one more":
                if isinstance(holder, dict):
                    holder[f"{way[-1]}s"] = 1
            else:
                holder[way[-1]] = wrong
            yield changed


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_message_has_the_words_of_the_validator(name: str) -> None:
    model, document = DOCUMENTS[name]
    model.model_validate(document)
    kinds = set()
    for changed in spoiled(document):
        try:
            model.model_validate(changed)
        except ValidationError as error:
            kinds |= {one["type"] for one in error.errors()}
            for line in problem_lines(error, model, changed).splitlines():
                assert not VALIDATOR.search(line), line
                assert "is not allowed here" not in line, f"it has no words yet: {line}"
    assert len(kinds) > 5


def test_every_kind_of_error_is_provoked() -> None:
    """A kind that the models can raise, and that nothing above raises, would have words that nobody saw."""
    kinds = set()
    for model, document in DOCUMENTS.values():
        for changed in spoiled(document):
            try:
                model.model_validate(changed)
            except ValidationError as error:
                kinds |= {one["type"] for one in error.errors()}
    assert kinds >= {
        *("missing", "extra_forbidden", "string_type", "string_pattern_mismatch", "literal_error"),
        *(
            "int_type",
            "float_type",
            "bool_type",
            "tuple_type",
            "dict_type",
            "model_type",
            "too_short",
            "too_long",
        ),
        *("greater_than", "greater_than_equal", "less_than", "less_than_equal", "value_error"),
        *("finite_number", "number_from_bool", "date_from_datetime_parsing", "string_too_long"),
    }


Parse = Callable[[Mapping[str, Any]], object]
READERS: dict[str, tuple[Callable[[str], Mapping[str, Any]], Parse]] = {
    "rules": (read_rules_document, parse_rules),
    "preset": (read_preset_document, lambda document: parse_preset(document, {})),
    "mapping": (read_mapping_document, parse_mapping),
}
PRESET = (CONFIGS / "scenarios" / "everyday.yaml").read_text(encoding="utf-8")
TABLE = (CONFIGS / "mappings" / "sparkov.yaml").read_text(encoding="utf-8")
ONE_RULE = "rules:\n  - id: a\n    reason: r\n    when: {amount_over: 5}\n"
WHOLE = "must be a whole number"


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ("amount_over: x", f"{WHOLE} or a mapping, such as {{a: 1}}, not the text"),
        ("amount_over: '60'", "write 60 without quotation marks"),
        ("amount_over: 60.0", "write 60"),
        ("amount_over: {Food: x}", f'amount_over.Food: {WHOLE}, not the text "x"'),
        ("countries: US", 'must be a list, not the text "US"; write [US]'),
        ("countries: [276]", 'but 276 was read as the number 276; write "276"'),
        ("categories: [true]", 'but true was read as true; write "true"'),
        ("amount_ovr: 5", "did you mean amount_over?"),
        ("model: {score_over: 5}", "name it by `file`"),
        ("hours_utc: [5]", "must have at least 2 entries"),
        ("hours_utc: [1, 2, 3]", "must have at most 2 entries, and has 3"),
        ("hours_utc: [06:00, 7]", f'{WHOLE}, not the text "06:00"'),
        ("weekdays: [xyz]", "must be mon, tue, wed, thu, fri, sat or sun, not the text"),
        ("weekdays: [MON]", "did you mean mon?"),
        ("weekdays: [Friday]", "did you mean fri?"),
        ("countries: 'US, DE'", "write [US, DE]"),
        ("card: {within_minutes: 5, count_ovr: 1}", "did you mean count_over?"),
    ],
)
def test_a_condition_is_said_with_its_line(tmp_path: Path, conditions: str, words: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(ONE_RULE.replace("amount_over: 5", conditions), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        parse_rules(read_rules_document(str(file)))
    (said, *_) = [line for line in caught.value.detail.splitlines() if words in line] or [""]
    assert said.startswith(f"{file}:4: rules #1.when"), caught.value.detail


@pytest.mark.parametrize(
    ("kind", "text", "was", "now", "words"),
    [
        ("rules", ONE_RULE, "id: a", "id: A b", "small letters, digits and hyphens, at most 64"),
        ("rules", ONE_RULE, "rules:", "rule:", "did you mean rules?"),
        ("preset", PRESET, "days: ", "days: true #", "must be a number, not true"),
        ("preset", PRESET, "days: ", "day: ", "did you mean days?"),
        ("preset", PRESET, "start: ", "start: 20260302 #", "must be a day, such as 2026-03-02"),
        ("preset", PRESET, "model: habits", "model: habit", "did you mean habits?"),
        ("preset", PRESET, "card_testing: 1", "card_testin: 1", "did you mean card_testing?"),
        ("mapping", TABLE, "country: {value", "country: {values", "did you mean value?"),
        ("mapping", TABLE, "country: {value: US}", "country: 5", "must be a mapping"),
        (
            "mapping",
            TABLE,
            "simulated card transactions in the United States",
            "5",
            "but 5 was read as the number 5",
        ),
    ],
)
def test_a_mistake_is_said_with_its_line(
    tmp_path: Path, kind: str, text: str, was: str, now: str, words: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace(was, now, 1), encoding="utf-8")
    line = text[: text.index(was)].count("\n") + 1
    reader, parse = READERS[kind]
    with pytest.raises(ConfigError) as caught:
        parse(reader(str(file)))
    matching = [said for said in caught.value.detail.splitlines() if words in said]
    assert matching, caught.value.detail
    assert matching[0].startswith(f"{file}:{line}: ")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("kafka:\n  port: 70000\n", 2, "kafka.port: must be 65535 or less, not the number 70000"),
        ("kafka:\n  port: true\n", 2, "kafka.port: must be a number, not true"),
        ("timeouts:\n  up_seconds: .inf\n", 2, "timeouts.up_seconds: must be a finite number"),
        ("events:\n  categories: Food\n", 2, "events.categories: must be a list"),
        ("events:\n  categories: [5]\n", 2, 'but 5 was read as the number 5; write "5"'),
        ("docker:\n  profiles: [grafna]\n", 2, "did you mean grafana?"),
        ("spark:\n  driver_memory: 1gb\n", 2, "a size in megabytes or gigabytes"),
    ],
)
def test_a_setting_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(config_file=file)
    assert f"{file}:{line}" in caught.value.detail
    assert words in caught.value.detail


def test_a_list_whose_entries_are_all_wrong_is_not_too_short_as_well() -> None:
    rule = RULES["rules"][0] | {"when": {"weekdays": ["a", "b"]}}
    with pytest.raises(ConfigError) as caught:
        parse_rules({"rules": [rule]})
    assert len(caught.value.detail.splitlines()) == 2


def test_a_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDCTL_KAFKA__PORT", "abc")
    with pytest.raises(ConfigError) as caught:
        load()
    assert caught.value.detail == (
        'kafka.port: must be a whole number, not the text "abc" (from FRAUDCTL_KAFKA__PORT)'
    )


def test_a_section_is_no_setting(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("windows: {length_minutes: 5}\nkafka: 5\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="kafka is a section") as caught:
        load(config_file=file)
    assert caught.value.detail == f"{file}:2"


def test_a_model_beside_the_rules_is_named_by_the_key_that_names_it(tmp_path: Path) -> None:
    forest = FOREST | {"features": ["amount_minor", "card_cuont"]}
    (tmp_path / "model.json").write_text(json.dumps(forest), encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(
        ONE_RULE.replace("amount_over: 5", "model: {file: model.json, score_over: 5}"), encoding="utf-8"
    )
    with pytest.raises(ConfigError) as caught:
        parse_rules(read_rules_document(str(file)))
    assert (
        f"{file}:4: rules #1.when.model.forest.features #2: must be a feature such as" in caught.value.detail
    )
