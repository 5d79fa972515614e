"""What is not valid YAML is told with its line and a remedy, and never in the words of the parser."""

import random
import re
from pathlib import Path

import pytest

from fraudctl import assets
from fraudctl.config.yaml_file import read_document, read_value
from fraudctl.errors import ConfigError

PARSER = re.compile(
    r"while (scanning|parsing)|expected <|but (found|got)|found (character|unknown|undefined|unexpected)"
    r"|simple key|scalar|token|<unicode string>|not allowed (here|in this context)|<byte string>|stream"
    r"|block (mapping|end|sequence|collection)|special characters|chomping|alphabetic|hexadecimal|in \""
)


def detail(tmp_path: Path, text: str) -> str:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_document(file, "rules file", holds="a mapping", hint="compare it")
    return caught.value.detail.replace(str(file), "mine.yaml")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        # A text that YAML takes for something else.
        ("a: 1\nreason: high: very\n", 2, 'a text with a colon in it .* write reason: "high: very"'),
        ("kafka_image: apache/kafka:\n", 1, 'write kafka_image: "apache/kafka:"'),
        ("- {id: 1}\n- reason: a: b # why\n", 2, 'write reason: "a: b"'),
        ("reason: *.csv files\n", 1, 'begins with \\* must stand .* write reason: "\\*.csv files"'),
        ("a: &.x y\n", 1, "begins with & must stand in quotation marks"),
        ("a: @home\n", 1, 'write a: "@home"'),
        ("a: %d\n", 1, 'write a: "%d"'),
        ("a: `x`\n", 1, "begins with ` must stand in quotation marks"),
        ("a: !important\n", 1, "begins with ! must stand in quotation marks"),
        ("a: !<x y\n", 1, "begins with ! must stand in quotation marks"),
        ("a: > 500 EUR\n", 1, 'write a: "> 500 EUR"'),
        ("a: | x\n", 1, "begins with | must stand"),
        ("a: , b\n", 1, "a value is missing before ,"),
        ('a: "high" value\n', 1, "write a: '\"high\" value'"),
        ("a: 'it's high'\n", 1, 'an apostrophe ends the text; .* write a: "it\'s high"'),
        ("a: [ok] fine\n", 1, "put the whole text into double quotation marks"),
        ("a: {{ x }} EUR\n", 1, 'a template\'s name must stand in quotation marks; write a: "{{ x }} EUR"'),
        ("a: - b\n", 1, "a list begins in a line of its own"),
        ("a: ? b\n", 1, 'write a: "\\? b"'),
        ('a: "C:\\data"\n', 1, "a backslash between double quotation marks begins an escape"),
        # What does not end.
        ("b: 1\na: 'open\nc: 2\n", 2, "the quotation mark ' that opens here is never closed"),
        ('b: 1\na: "open\nc: 2\n', 2, 'the quotation mark " that opens here is never closed'),
        ("b: 1\na: [1, 2", 2, "the \\[ that opens here is never closed"),
        ('{"a": 1,\n "b": 2', 1, "the { that opens here is never closed"),
        ("a: [1, 2\nb: 3\n", 2, "a comma, or the ] that closes the \\[ of line 1, is missing here"),
        ('{"a": 1,\n "b" 2}', 2, "a comma, or the } that closes the { of line 1"),
        # Lines that do not go together.
        ("a:\n  b: 1\n c: 2\n", 3, "indented differently from the lines that it belongs to"),
        ("a:\n  b: 1\n   c: 2\n", 3, "indented further than the one above"),
        ("a:\n  - b\n - c\n", 3, "indented differently"),
        ("a: b\n- c\n", 2, "indented differently"),
        ("a:\n\tb: 1\n", 2, "a tab stands where YAML wants spaces"),
        ("reason:high\nb: 1\n", 1, "a blank must follow the colon; write reason: high"),
        ("b: 1\nreason:high\n", 2, "a blank must follow the colon; write reason: high"),
        ("b: 1\nnonsense\n", 2, "this line has no colon"),
        ("a: b\n...\nc: d\n", 3, "does not go with the lines above it"),
        ("a: 1\n---\nb: 2\n", 2, "several documents"),
        ("a: &x 1\nb: &x 2\n", 2, "&x is given twice, first in line 1"),
        # What other programs leave in a file.
        ("a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> x\n", 2, "a git conflict is left in the file"),
        ("<<<<<<< HEAD\n", 1, "a git conflict is left in the file"),
        ("a: 1\nb: \x07\n", 2, "the character U\\+0007 BELL is not allowed in YAML; remove it"),
        ("a: 1\nb: 2\n\x1a", 3, "U\\+001A Ctrl-Z"),
        ("a: 1\nb: x\0y\n", 2, "U\\+0000 NUL"),
        (
            "rules:\n  \u2013 id: a\n    reason: r\n",
            2,
            "U\\+2013 EN DASH begins no entry of a list; write a hyphen",
        ),
        ("rules:\n  \u2022 id: a\n    reason: r\n", 2, "U\\+2022 BULLET begins no entry"),
        ("a: \u201chigh: very\u201d\n", 1, "U\\+201C LEFT DOUBLE QUOTATION MARK is no quotation mark"),
        ("a\uff1a5\nb: 1\n", 1, "U\\+FF1A FULLWIDTH COLON is no colon to YAML"),
        ("a:\n\u00a0\u00a0b: 1\n  c: 2\n", 2, "U\\+00A0 NO-BREAK SPACE stands where YAML wants plain spaces"),
    ],
)
def test_a_fault_is_told_with_its_line_and_a_remedy(tmp_path: Path, text: str, line: int, words: str) -> None:
    said = detail(tmp_path, text)
    assert re.match(f"mine.yaml:{line}: .*{words}", said), said
    assert not PARSER.search(said)


@pytest.mark.parametrize(
    "line", ["a: b: c", "a: *.csv", "a: @x", 'a: "b" c', "a: 'it's b'", "a: {{ b }} c", "a: - b", "a: b\\: c"]
)
def test_the_line_that_a_message_tells_to_write_is_valid(tmp_path: Path, line: str) -> None:
    told = detail(tmp_path, line).rpartition("; write ")[2]
    file = tmp_path / "mine.yaml"
    file.write_text(told, encoding="utf-8")
    assert isinstance(read_document(file, "file", holds="a mapping", hint="-")["a"], str)


def test_no_mutation_of_a_file_brings_out_the_words_of_the_parser(tmp_path: Path) -> None:
    draws = random.Random(5)
    text = (assets.configs() / "rules.yaml").read_text(encoding="utf-8").partition("\nrules:")[2]
    marks = [
        "\t",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        '"',
        "*",
        "&",
        "!",
        "%",
        "@",
        "|",
        ">",
        "? ",
        "#",
    ]
    for _ in range(1500):
        changed = "rules:" + text
        for _ in range(draws.randint(1, 3)):
            begin = draws.randrange(len(changed))
            changed = (
                changed[:begin] + draws.choice([*marks, "\n", "\n  ", "---\n", ""]) + changed[begin + 1 :]
            )
        file = tmp_path / "mine.yaml"
        file.write_text(changed, encoding="utf-8")
        try:
            read_document(file, "file", holds="a mapping", hint="-")
        except ConfigError as error:
            assert not PARSER.search(error.detail), (changed, error.detail)
            assert "fit together" not in error.detail, f"it has no words yet: {changed}"


def test_a_value_of_the_environment_is_explained_without_a_file() -> None:
    with pytest.raises(ValueError, match=r"^the \[ that opens here is never closed$"):
        read_value("[a, b")
