"""YAML is read strictly: what can be read in two ways is refused, with both readings and the line."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from fraudctl import assets
from fraudctl.config.load import load
from fraudctl.config.preset_file import (
    mapping_names,
    preset_names,
    read_mapping_document,
    read_preset_document,
)
from fraudctl.config.rules_file import read_rules_document
from fraudctl.config.yaml_file import YamlDocument, read_document
from fraudctl.errors import ConfigError
from fraudctl.rules.model import parse_rules

RULE = "rules:\n  - id: a\n    reason: r\n    when: {}\n"


def read(tmp_path: Path, text: str | bytes) -> YamlDocument:
    file = tmp_path / "mine.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_document(file, "rules file", holds="a mapping", hint="compare it")


def refused(tmp_path: Path, text: str | bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("when", "words"),
    [
        # What the folder 18-yaml-surprises shows, and 010000 of 17.
        ("{countries: [NO, SE]}", 'NO was read as false; write "NO" for the text or false'),
        ("{hours_utc: [22:00, 06:00]}", '22:00 was read as 1320 (in base 60); write "22:00" for the text'),
        ("{hours_utc: [08, 09]}", '08 was read as the text "08"; write 8 or "08" for the text'),
        ("{amount_over: 1,000}", "1,000 was read as 1 and a key 000 without a value; write 1000"),
        ("{amount_over: 1e5}", 'amount_over: 1e5 was read as the text "1e5"; write 100000'),
        ("{amount_over: 010000}", "amount_over: 010000 was read as 4096 (in base 8); write 4096, 10000"),
        # Siblings.
        ("{amount_over: 1.000,50}", "write it without a comma"),
        ("{amount_over: 1,000,000}", "1,000,000 was read as 1 and a key 000 without a value; write 1000000"),
        ("{categories: Food, Retail}", "a key Retail without a value; write a list, [Food, Retail]"),
        ("{countries: [Yes]}", 'Yes was read as true; write "Yes"'),
        ("{channels: [on, Off]}", 'on was read as true; write "on"'),
        ("{amount_over: 1E5}", "write 100000"),
        ("{amount_over: 1.5e3}", "write 1500"),
        ("{amount_over: 0o17}", 'was read as the text "0o17"; write 15'),
        ("{amount_over: 0b11}", "was read as 3"),
        ("{amount_over: 1_000}", "1_000 was read as 1000; write 1000"),
        ("{amount_over: 10,000.50}", "write 10000.50"),
        ("\n      amount_over: 1,000,000", 'was read as the text "1,000,000"; write 1000000'),
        ("{amount_over: -017}", "write -15, -17"),
        ("{amount_over: 00}", "(in base 8); write 0"),
        ("{amount_over: 1:30:00}", "was read as 5400 (in base 60)"),
        ("{amount_over: 1:30.5}", "was read as 90.5 (in base 60)"),
        ("{amount_over: ~}", "amount_over: ~ was read as no value"),
        ("{amount_over: null}", "null was read as no value"),
        ("{amount_over: {NO: 5}}", 'NO was read as false; write "NO"'),
        ("{amount_over: {010: 5}}", "010 was read as 8 (in base 8)"),
        ("{amount_over: {null: 5}}", "null was read as no value"),
        (f"{{amount_over: {'9' * 5000}}}", "too many digits"),
        ("{amount_over: 1e30}", "write 1.0e+30"),
        ("{amount_over: 1e-7}", "write 1.0e-07"),
        ("{amount_over: -08}", 'write -8 or "-08" for the text'),
        ("{amount_over: 1e400}", 'was read as the text "1e400"; write "1e400" for the text'),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_its_line(tmp_path: Path, when: str, words: str) -> None:
    error = refused(tmp_path, RULE.replace("when: {}", f"when: {when}"))
    assert "can be read in two ways" in error.message
    assert words in error.detail
    line = int(error.detail.split("mine.yaml:")[1].split(":")[0])
    assert 4 <= line <= 6


@pytest.mark.parametrize(
    "value",
    [
        *(
            "1e30",
            "1e5",
            "1e-7",
            "1.5E22",
            "-1e300",
            "1e400",
            "-08",
            "+09",
            "-017",
            "0,125",
            "041,277",
            "010",
            "0o17",
            "0b11",
        ),
        "1_000",
    ],
)
def test_what_a_message_tells_to_write_is_taken(tmp_path: Path, value: str) -> None:
    detail = refused(tmp_path, f"a: {value}").detail
    told = detail.rpartition("; write ")[2].removesuffix(" for the text")
    for text in re.split(r", | or ", told):
        assert read(tmp_path, f"a: {text}")["a"] is not None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nreason: # forgotten", 2, "reason: there is no value; give one, or leave the key out"),
        ("kafka:\n", 1, "kafka: there is no value"),
        ("a: {b: }", 1, "b: there is no value"),
        ("a: 1\n? [a, b]\n: 1", 2, "a list or a mapping stands where a key should be; keys are texts"),
        ("? \n: 5", 1, "a key is empty; give it a name"),
        ("a: 1\nb: {{ limit }}", 2, 'a template\'s name must stand in quotation marks; write "{{ limit }}"'),
        ("a: 1\nb: [{{limit}}]", 2, "a template's name must stand in quotation marks"),
        ("a: &w {x: 1}\nb: {<<: *w, x: 2}", 2, "the merge key << is none of YAML 1.2; write out the keys"),
        ("a: &w {x: 1}\nb: {<<: [*w, {x: 2}]}", 2, "the merge key <<"),
        ("a: 1\n<<: {x: 1}", 2, "the merge key <<"),
        ("a: &a {<<: *a}", 1, "the merge key <<"),
    ],
)
def test_what_is_incomplete_is_not_called_ambiguous(tmp_path: Path, text: str, line: int, words: str) -> None:
    error = refused(tmp_path, text)
    assert error.message.endswith("has a mistake")
    assert error.detail.startswith(f"{tmp_path / 'mine.yaml'}:{line}: {words}")


def test_mistakes_of_both_kinds_are_counted_together(tmp_path: Path) -> None:
    assert refused(tmp_path, "a: NO\nb:\n").message.endswith("has 2 mistakes")


def test_every_ambiguity_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    error = refused(tmp_path, "a: NO\nb: 010\nc: [1e5]\nd: ~\n")
    assert [line.split(": ")[0].rpartition(":")[2] for line in error.detail.splitlines()] == list("1234")
    error = refused(tmp_path, "\n".join(f"a{number}: NO" for number in range(30)))
    assert error.detail.endswith("and 10 more")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2018-04-01", "2018-04-01"),
        ("a: 2018-04-01T10:00:00Z", "2018-04-01T10:00:00Z"),
        ("a: 12", 12),
        ("a: +12", 12),
        ("a: 0x1F", 31),
        ("a: 1.5", 1.5),
        ("a: .5", 0.5),
        ("a: 1.0e+5", 100_000.0),
        ("a: true", True),
        ("a: FALSE", False),
        ("a: 'NO'", "NO"),
        ('a: "010"', "010"),
        ('a: "~"', "~"),
        ("a: y", "y"),
        ("a: 127.0.0.1", "127.0.0.1"),
        ("a: host:9092", "host:9092"),
        ("a: local[2]", "local[2]"),
        ("a: [1,5]", [1, 5]),
        ("a: {1: x, 1.50: y, True: z}", {"1": "x", "1.50": "y", "true": "z"}),
        ("a: 06:00", "06:00"),
        ("a: Größe €", "Größe €"),
        ("a: |\n  NO\n", "NO\n"),
        ("a: =", "="),
        ('{"a": 1e5}', 100_000.0),
        ('{\n\t"a":\t[1,2]\n}', [1, 2]),
        ('{"a": "\\ud83d\\ude00\\/"}', "😀/"),
        ("a: &x [1]", [1]),
    ],
)
def test_what_is_clear_is_read_as_it_is_meant(tmp_path: Path, text: str, value: object) -> None:
    found = read(tmp_path, text)["a"]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.replace("\n", "\r\n").encode(),
    ],
    ids=["utf-8 with a mark", "utf-16", "utf-16-le", "utf-16-be", "crlf"],
)
def test_what_editors_make_of_a_file_is_read(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    assert read(tmp_path, encode("a: Betrag über 600 €\nb: 5\n")) == {"a": "Betrag über 600 €", "b": 5}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds nothing"),
        (b"# only a comment\n", "holds nothing"),
        (b"- a\n- b\n", "holds a list"),
        (b"just words", 'holds the text "just words"'),
        (b"a: 1\n---\nb: 2\n", "several documents"),
        (b"a:\n\tb: 1\n", "a tab stands where YAML wants spaces"),
        (b"a: !!python/object:os.system {}", "the tag tag:yaml.org,2002:python/object:os.system"),
        (b"a: !!int '5'", "is not allowed"),
        (b"a: &a [*a]", "an alias leads back to itself"),
        (b"a: *b", "*b stands for nothing, as no &b is before it"),
        (b"{a: " * 4000, "nested too deeply"),
        (b'a: "\\ud800"', "half of a surrogate pair"),
        (b'a: "\\0"', "the character NUL"),
        (b"a: b\xe4r\n", "mine.yaml:1: this line is not UTF-8: byte 0xe4; save the file as UTF-8"),
        (b"\x1f\x8b\x08\x00rest", "it is a gzip file"),
        (b"PAR1rest", "it is a Parquet table"),
        (b"PK\x03\x04rest", "it is a ZIP archive"),
        (b"\x80\x04\x95pickled", "is not UTF-8"),
        (b"\x00" * 64, "the character U+0000 NUL is not allowed in YAML; remove it"),
        (b"\xff\xfe\x00\x00a", "it is a text in UTF-32; save it as UTF-8"),
        (b"a: " + b"x" * 500_000, "longer than 400,000 bytes"),
        (b"'unclosed", "the quotation mark ' that opens here is never closed"),
    ],
)
def test_what_is_no_settings_file_is_named_as_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    error = refused(tmp_path, content)
    assert words in error.message + error.detail


def test_aliases_of_nothing_take_no_time(tmp_path: Path) -> None:
    names = "abcdefgh"
    lines = [f"{name}: &{name} [{', '.join([f'*{before}'] * 20)}]" for before, name in pairwise(names)]
    assert "its aliases written out" in refused(tmp_path, "\n".join(["a: &a {}", *lines])).detail


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    for file, words in ((tmp_path, "it is a folder"), (tmp_path / "no.yaml", "No such file")):
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            read_document(file, "rules file", holds="a mapping", hint="compare it")
        assert words in caught.value.detail


def test_settings_presets_and_mappings_go_the_same_way(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("a:\n  b: 22:00\n", encoding="utf-8")
    readers: tuple[Callable[[], object], ...] = (
        lambda: load(config_file=file),
        lambda: read_rules_document(str(file)),
        lambda: read_preset_document(str(file)),
        lambda: read_mapping_document(str(file)),
    )
    for reader in readers:
        with pytest.raises(ConfigError) as caught:
            reader()
        assert f"{file}:2: b: 22:00 was read as 1320" in caught.value.detail


def test_lists_in_the_environment_go_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDCTL_EVENTS__CATEGORIES", "[Retail, NO]")
    with pytest.raises(ConfigError) as caught:
        load()
    assert 'NO was read as false; write "NO"' in caught.value.detail


def test_a_file_of_json_is_a_rules_file(tmp_path: Path) -> None:
    document = {"rules": [{"id": "a", "reason": "Betrag über 600 €", "when": {"amount_over": 5}}]}
    for text in (json.dumps(document), json.dumps(document, indent="\t")):
        file = tmp_path / "mine.json"
        file.write_text(text, encoding="utf-8")
        assert parse_rules(read_rules_document(str(file))) == parse_rules(document)


def test_everything_that_comes_with_the_program_is_clear() -> None:
    for name in preset_names():
        read_preset_document(name)
    for name in mapping_names():
        read_mapping_document(name)
    for file in (assets.configs() / "rules.yaml", *(assets.configs() / "profiles").glob("*.yaml")):
        read_document(file, "file", holds="a mapping", hint="compare it")
