"""Settings of files and of the environment: what is told of a wrong one, and what is never printed."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from fraudctl import assets
from fraudctl.config.load import load
from fraudctl.config.model import Settings
from fraudctl.config.preset_file import read_mapping_document, read_preset_document
from fraudctl.config.rules_file import read_configured_rules, read_rules_document
from fraudctl.errors import ConfigError
from fraudctl.rules.model import RuleSet, parse_rules
from fraudctl.simulator.mapping import Mapping as TableMapping
from fraudctl.simulator.mapping import parse_mapping
from fraudctl.simulator.preset import HabitsPreset, HandbookPreset, parse_preset

EVERYDAY = (assets.configs() / "scenarios" / "everyday.yaml").read_text(encoding="utf-8")
SPARKOV = (assets.configs() / "mappings" / "sparkov.yaml").read_text(encoding="utf-8")


def refused(file: Path | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(config_file=file)
    return caught.value


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "text",
    [
        "kafka: {port: '19:92'}",
        "kafka: {port: 1}\nkafka: {port: 2}",
        "kafka: [",
        "nonsense: 5",
        "kafka: 5",
        "kafka: {port: 70000}",
        "kafka:",
        "- a",
    ],
)
def test_no_hint_leads_back_to_the_file_that_is_wrong(tmp_path: Path, text: str) -> None:
    assert "config show" not in refused(written(tmp_path, text)).hint


@pytest.mark.parametrize("text", ["kafka: {port: x}", "kafka: {port: 1}\nkafka: {port: 2}", "qqqq: 5"])
def test_the_hint_names_a_file_that_is_there_and_lists_every_setting(tmp_path: Path, text: str) -> None:
    found = re.search(r"/\S+/default\.yaml", refused(written(tmp_path, text)).hint)
    assert found is not None
    assert load(config_file=Path(found[0])).settings == load().settings


@pytest.mark.parametrize(("name", "value"), [("KAFKA__PORT", "x"), ("QQQQ", "1"), ("KAFKA", "5")])
def test_no_hint_leads_back_to_the_variable_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"FRAUDCTL_{name}", value)
    assert "config show" not in refused().hint


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("kafka:\n  port: '9092'", 2, 'must be a whole number, not the text "9092"; write 9092 without quot'),
        ("spark:\n  fast_checkpoint: 'false'", 2, 'must be true or false, not the text "false"; write false'),
        ("spark:\n  fast_checkpoint: 1", 2, "must be true or false, not the number 1"),
        ("spark:\n  trigger_seconds: '0.5'", 2, "must be a number, not the text"),
        ("kafka:\n  port: 9092.0", 2, "must be a whole number, not the number 9092.0; write 9092"),
        (
            "producer:\n  category_weights: {Retail: '1', Food: 1}",
            2,
            "category_weights.Retail: must be a number",
        ),
        ("windows:\n  length_minutes: 10\n  slide_minutes: 3", 2, "must be a multiple of slide_minutes"),
        ("windows:\n  slide_minutes: 3", 2, "length_minutes must be a multiple of slide_minutes"),
        (
            "profile: auto\nevents: {categories: [Groceries]}",
            2,
            "events.categories: producer.category_weights",
        ),
        ('postgres:\n  user: "a\\tb"', 2, "postgres.user: 'a\\tb': under the profile auto"),
        ("events:\n  categories: [Retail, Food, Electronics, Food]", 2, "the category Food is named twice"),
        ("events:\n  currency: \u0415UR", 2, "U+0415 CYRILLIC CAPITAL LETTER IE"),
        ('spark:\n  java_options: "-Dx=\'a"', 2, "a quotation mark is not closed"),
        ("spark:\n  java_options: 'a\\'", 2, "a backslash stands at the end"),
    ],
)
def test_a_setting_that_is_wrong_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    file = written(tmp_path, text)
    (said,) = refused(file).detail.splitlines()
    assert said.startswith(f"{file}:{line}: ")
    assert words in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("k\u0430fka: {port: 1}", "U+0430 CYRILLIC SMALL LETTER A"),
        ("kafka: {po\u200brt: 1}", "U+200B ZERO WIDTH SPACE"),
    ],
)
def test_a_key_that_looks_right_is_told_by_its_character(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(written(tmp_path, text)).message


@pytest.mark.parametrize("key", ["\u0441ountries", "countries\u200b", "coun\u00adtries"])
def test_a_key_of_a_rule_that_looks_right_is_told_by_its_character(tmp_path: Path, key: str) -> None:
    file = written(tmp_path, f"rules:\n  - {{id: a, reason: r, when: {{{key}: [DE]}}}}\n")
    with pytest.raises(
        ConfigError, match=r"there is no key .* \(it holds U\+.*did you mean countries"
    ) as caught:
        raise_detail(file)
    assert f"{file}:2: rules #1.when." in str(caught.value)


def raise_detail(file: Path) -> None:
    try:
        parse_rules(read_rules_document(str(file)))
    except ConfigError as error:
        raise ConfigError(error.detail) from error


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("db:5432", "write the port as postgres.port"),
        ("postgresql://u:geheim@h/db", "settings of their own"),
        ("u:geheim@h", "settings of their own"),
        ("host=h password=geheim", "settings of their own"),
        ("[::1]", "without brackets"),
        ("h geheim", "settings of their own"),
    ],
)
def test_a_host_is_a_host_alone_and_a_password_is_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, words: str
) -> None:
    error = refused(written(tmp_path, f"postgres:\n  host: '{host}'"))
    assert words in error.detail
    monkeypatch.setenv("FRAUDCTL_POSTGRES__HOST", host)
    for one in (error, refused()):
        assert "geheim" not in one.message + one.detail + one.hint


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "db", "db.example.org", "::1", "fe80::1%eth0", "/run/postgresql"]
)
def test_a_host_has_every_form_that_hosts_have(host: str) -> None:
    assert load(flags={"postgres.host": host}).settings.postgres.host == host


def test_a_broker_is_named_without_a_login() -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags={"kafka.bootstrap_servers": "kafka://u:geheim@h:9092"})
    assert "geheim" not in caught.value.detail


def test_a_setting_is_given_once_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDCTL_KAFKA__PORT", "1111")
    monkeypatch.setenv("fraudctl_kafka__port", "2222")
    error = refused()
    assert error.message == "the setting kafka.port is given twice in the environment"
    assert error.detail == "by FRAUDCTL_KAFKA__PORT and by fraudctl_kafka__port"


def test_a_setting_is_given_by_its_section_or_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDCTL_KAFKA", "{port: 1111}")
    assert load().settings.kafka.port == 1111
    assert load().origins["kafka.port"] == "FRAUDCTL_KAFKA"
    monkeypatch.setenv("FRAUDCTL_KAFKA__TOPIC", "other")
    assert load().settings.kafka.topic == "other"
    monkeypatch.setenv("FRAUDCTL_KAFKA__PORT", "2222")
    assert "kafka.port is given twice" in refused().message


def test_a_variable_in_small_letters_is_named_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("fraudctl_kafka__port", "2222")
    assert load().origins["kafka.port"] == "fraudctl_kafka__port"
    monkeypatch.setenv("fraudctl_kafka__prt", "1")
    assert "fraudctl_kafka__prt" in refused().message


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("KAFKA__PORT", "09092", "write 9092"),
        ("KAFKA__PORT", "9_092", "write 9092"),
        ("KAFKA__PORT", "9,092", "write 9092"),
        ("LANDING__RETRY_SECONDS", "1e2", "write 100"),
        ("LANDING__RETRY_SECONDS", "1:30", "write 90"),
    ],
)
def test_a_number_of_the_environment_is_read_as_that_of_a_file(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"FRAUDCTL_{name}", value)
    detail = refused().detail
    assert detail.startswith(f"FRAUDCTL_{name}: {value} was read as ")
    assert detail.endswith(told)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("KAFKA__PORT", " 1111 ", ("kafka", "port", 1111)),
        ("SPARK__FAST_CHECKPOINT", "false", ("spark", "fast_checkpoint", False)),
        ("SPARK__FAST_CHECKPOINT", "0", ("spark", "fast_checkpoint", False)),
        ("SPARK__TRIGGER_SECONDS", "2", ("spark", "trigger_seconds", 2.0)),
        ("KAFKA__TOPIC", "0815", ("kafka", "topic", "0815")),
        ("KAFKA__TOPIC", "true", ("kafka", "topic", "true")),
    ],
)
def test_a_variable_is_what_its_setting_needs(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, meant: tuple[str, str, object]
) -> None:
    monkeypatch.setenv(f"FRAUDCTL_{name}", value)
    section, key, expected = meant
    assert getattr(getattr(load().settings, section), key) == expected


def loose(annotation: Any, strict: bool = False) -> Iterator[Any]:
    """Yield the numbers and flags in an annotation that would take a text."""
    if annotation in (int, float, bool) and not strict:
        yield annotation
    metadata = get_args(annotation)[1:] if hasattr(annotation, "__metadata__") else ()
    inner = "strict=True" in repr(metadata) or "Strict(strict=True)" in repr(metadata)
    for one in get_args(annotation):
        yield from loose(one, strict or inner)


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from models(kind)


@pytest.mark.parametrize("model", [Settings, RuleSet, HabitsPreset, HandbookPreset, TableMapping])
def test_no_number_of_a_file_may_be_written_as_a_text(model: type[BaseModel]) -> None:
    for one in models(model):
        for name, field in one.model_fields.items():
            strict = "Strict(strict=True)" in repr(field.metadata)
            assert not list(loose(field.annotation, strict)), f"{one.__name__}.{name}"


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("days: ", "days: '7' #", "days: must be a whole number, not the text"),
        ("label_delay_hours: [", "label_delay_hours: [900, 5] # [", "must go from the shorter to the longer"),
    ],
)
def test_a_preset_is_as_strict(tmp_path: Path, was: str, now: str, words: str) -> None:
    file = written(tmp_path, EVERYDAY.replace(was, now, 1))
    line = EVERYDAY[: EVERYDAY.index(was)].count("\n") + 1
    with pytest.raises(ConfigError) as caught:
        parse_preset(read_preset_document(str(file)), {})
    assert caught.value.detail.startswith(f"{file}:{line}: ")
    assert words in caught.value.detail


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("card_id: {column: cc_num, hash: 'yes'}", "hash: must be true or false"),
        ("amount_minor: {column: amt, times: '100'}", "times: must be a whole number"),
        ("amount_minor: {column: amt, times: 1.0e+30}", "times: must be a whole number"),
    ],
)
def test_a_mapping_is_as_strict(tmp_path: Path, line: str, words: str) -> None:
    key = line.partition(":")[0]
    file = written(tmp_path, re.sub(rf"(?m)^  {key}: .*$", f"  {line}", SPARKOV, count=1))
    with pytest.raises(ConfigError) as caught:
        parse_mapping(read_mapping_document(str(file)))
    assert words in caught.value.detail


def test_two_rules_with_one_id_are_told_at_the_second(tmp_path: Path) -> None:
    rule = "  - id: {}\n    reason: r\n    when: {{amount_over: 5}}\n"
    file = written(tmp_path, "rules:\n" + rule.format("a") + rule.format("b") + rule.format("a"))
    with pytest.raises(ConfigError) as caught:
        parse_rules(read_rules_document(str(file)))
    assert caught.value.detail == f"{file}:8: rules #3.id: rule #1 has the same id, a"
    name = re.search(r"/\S+rules\.yaml", caught.value.hint)
    assert name is not None
    assert Path(name[0]).is_file()


def test_rules_that_are_not_there_are_told_with_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "profile: auto\nrules:\n  file: nope.yaml\n")
    with pytest.raises(ConfigError) as caught:
        read_configured_rules(load(config_file=file).settings)
    assert caught.value.detail.endswith(f"the setting rules.file names it: {file}:3")
    monkeypatch.setenv("FRAUDCTL_RULES__FILE", "other.yaml")
    with pytest.raises(ConfigError) as caught:
        read_configured_rules(load(config_file=file).settings)
    assert caught.value.detail.endswith("the setting rules.file names it: FRAUDCTL_RULES__FILE")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is empty"),
        ("{", "it is not valid JSON from its line 1 on"),
        ('{"a": 1, "a": 2}', 'the key "a" is given twice'),
        ("[" * 100_000, "nested too deeply"),
        ("{}\n}", "not valid JSON from its line 2 on"),
        ("[" + "9" * 5000 + "]", "a number in it has too many digits"),
    ],
)
def test_a_model_that_is_none_is_told_in_plain_words(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "model.json").write_text(content, encoding="utf-8")
    assert words in refused_model(tmp_path, "model.json").detail


def test_a_model_that_is_no_file_is_told_as_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "it is a pipe, and not a file" in refused_model(tmp_path, "fifo").detail
    assert "it is a device, and not a file" in refused_model(tmp_path, "/dev/null").detail
    error = refused_model(tmp_path, "https://x/y.json")
    assert error.message == "the model https://x/y.json cannot be read"
    assert "it is an address" in error.detail


def refused_model(tmp_path: Path, name: str) -> ConfigError:
    model = f"{{model: {{file: '{name}', score_over: 5}}}}"
    file = written(tmp_path, f"rules:\n  - {{id: a, reason: r, when: {model}}}\n")
    with pytest.raises(ConfigError) as caught:
        read_rules_document(str(file))
    return caught.value


def test_a_pipe_without_a_writer_is_refused_by_every_reader(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.yaml"
    os.mkfifo(fifo)
    for read in (
        lambda: load(config_file=fifo),
        lambda: read_rules_document(str(fifo)),
        lambda: read_preset_document(str(fifo)),
        lambda: read_mapping_document(str(fifo)),
    ):
        with pytest.raises(ConfigError) as caught:
            read()
        assert caught.value.detail == "it is a pipe, and not a file"


def test_a_file_that_is_there_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    (tmp_path / "sc.txt").write_text("days: 5", encoding="utf-8")
    (tmp_path / "map.yamlx").write_text("days: 5", encoding="utf-8")
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    for name, words in (
        ("./dir", "it is a folder"),
        ("dir", "it is a folder"),
        ("./fifo", "it is a pipe"),
        ("./broken", "it is a link to a file that is not there"),
        ("./sc.txt", "a file of yours must end in .yaml, .yml or .json"),
        ("map.yamlx", "a file of yours must end in .yaml, .yml or .json"),
        ("./nothing", "No such file"),
        ("https://x/y", "it is an address"),
    ):
        for read in (read_preset_document, read_mapping_document):
            with pytest.raises(ConfigError, match="cannot be read") as caught:
                read(name)
            assert words in caught.value.detail
    for name, words in (("everyda", "did you mean everyday?"), ("qqq", "name one of them")):
        with pytest.raises(ConfigError, match="there is no preset") as caught:
            read_preset_document(name)
        assert words in caught.value.hint


def test_a_profile_that_there_is_not_is_told_with_what_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "kafka: {port: 1}\nprofile: lokal\n")
    assert refused(file).detail == f"{file}:2: known profiles: auto, local, docker, external"
    monkeypatch.setenv("FRAUDCTL_PROFILE", "dokcer")
    assert refused(file).detail.startswith("FRAUDCTL_PROFILE: known profiles")


def test_an_address_is_shown_as_it_was_written() -> None:
    with pytest.raises(ConfigError, match=r"the rules file https://x/y\.yaml cannot") as caught:
        read_rules_document("https://x/y.yaml")
    assert "it is an address" in caught.value.detail
