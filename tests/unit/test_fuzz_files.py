"""Mutated files given to every command that reads one: refused or taken, never a traceback, never a hang."""

import bz2
import gzip
import json
import lzma
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraudctl import assets
from fraudctl.cli.main import app
from fraudctl.config.preset_file import read_mapping_document, read_preset_document
from fraudctl.errors import FraudctlError
from fraudctl.simulator.mapping import parse_mapping
from fraudctl.simulator.preset import HabitsPreset, parse_preset
from tests.unit.test_event_files import event, label, lines
from tests.unit.test_wording import RULES

# Of processor time, so that other work on the machine does not count.
MOST_SECONDS = 5.0
BATCH = 25
CONFIGS = assets.configs()
DOCUMENTS = {
    "settings": (CONFIGS / "default.yaml").read_bytes(),
    "rules": json.dumps(RULES, indent=1).encode(),
    "plain rules": (CONFIGS / "rules.yaml").read_bytes(),
    "preset": (CONFIGS / "scenarios" / "rough.yaml").read_bytes().replace(b"00  ", b"  "),
    "mapping": (CONFIGS / "mappings" / "ieee.yaml").read_bytes(),
}
EVENTS = lines([event(number) for number in range(60)])
LABELS = lines([label(number) for number in range(0, 60, 5)])
YAML_TOKENS = [
    *(
        b"NO",
        b"22:00",
        b"010",
        b"08",
        b"1e5",
        b"1_000",
        b"1,000",
        b"~",
        b"null",
        b"!!int ",
        b"!x ",
        b"&a ",
        b"*a",
    ),
    *(
        b"*a",
        b"\t",
        b"\x00",
        b"- ",
        b"{",
        b"}",
        b"[",
        b"]",
        b": ",
        b"? ",
        b"<<: *a",
        b"---\n",
        b"...\n",
        b"'",
    ),
    *(b"%YAML 9.9\n", b"|\n", b">-\n", b"#", b"\\ud800", b'"\\ud83d"', b"\xc2\x85", b"\xe2\x80\xa8", b"\xff"),
    *(b"\xef\xbb\xbf", b".nan", b".inf", b"1.0e+999", b"9" * 5000, b"-" * 300, b"[" * 3000, b"{a: " * 500),
    *(b"true", b"2026-13-45", b"=", b"@", b"`", b"x" * 3000, b"\r", b"\n", b"\n" * 50, b"0x", b"0b_", b"._"),
]
JSON_TOKENS = [
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-0",
    ),
    *(
        b"9" * 5000,
        b"0.1",
        b"\\ud800",
        b"\\u0000",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\n",
        b"\r",
        b"\r\n",
        b"\x1e",
    ),
    *(
        b"[" * 5000,
        b'{"a":' * 5000,
        b" " * 5000,
        b'{"a":1,"a":1}',
        b"//",
        b"\xf0\x9f\x98\x80",
        b"2026-02-30T",
    ),
    *(b'"transaction_id"', b'"scenario":"x",', b"4111111111111111", b"\xed\xa0\x80", b"1" * 20, b"True"),
]


def mutated(draw: random.Random, content: bytes, tokens: list[bytes]) -> bytes:
    """Return the content with some bytes, tokens or lines changed, and now and then packed or recoded."""
    for _ in range(draw.randint(1, 4)):
        at, size = draw.randrange(len(content) + 1), draw.randint(1, 30)
        kind = draw.randrange(8)
        if kind == 0:
            content = (
                content[:at] + bytes(draw.randrange(256) for _ in range(draw.randint(1, 4))) + content[at:]
            )
        elif kind == 1:
            content = content[:at] + content[at + size :]
        elif kind == 2:
            content = content[:at] + draw.choice(tokens) + content[at + draw.choice((0, size)) :]
        elif kind == 3:
            content = content[:at] + content[at : at + size * 9] + content[at:]
        elif kind == 4:
            content = content[:at]
        elif kind == 5:
            parts = content.split(b"\n")
            draw.shuffle(parts)
            content = b"\n".join(parts)
        else:
            words = content.split(b" ")
            words[draw.randrange(len(words))] = draw.choice(tokens)
            content = b" ".join(words)
    recode: Callable[[bytes], bytes] = draw.choice(
        [
            *[lambda one: one] * 12,
            gzip.compress,
            bz2.compress,
            lzma.compress,
            lambda one: gzip.compress(one)[:-9],
            lambda one: one.decode("latin-1").encode("utf-16"),
            lambda one: one.decode("latin-1").encode("utf-16")[1:],
            lambda one: b"[" + one.replace(b"\n", b",") + b"]",
            lambda one: one.replace(b"\n", b"\r"),
        ]
    )
    return recode(content)


def check(arguments: list[object]) -> None:
    """Run a command in this process; it may refuse what it was given, in words."""
    began = time.process_time()
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    took = time.process_time() - began
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"{arguments}: a traceback") from result.exception
    assert result.exit_code in (0, 2, 3, 6), f"{arguments}: {result.output[-2000:]}"
    assert "Traceback" not in result.output
    assert "pydantic" not in result.output
    if result.exit_code:
        assert "error: " in result.stderr
    assert took < MOST_SECONDS, f"{arguments} took {took:.1f} s"


def is_large(preset: Path) -> bool:
    """Tell whether a valid preset asks for so much that simulating it takes long, as it should."""
    try:
        parsed = parse_preset(read_preset_document(str(preset)), {})
    except FraudctlError as error:
        assert error.exit_code == 3
        return False
    return isinstance(parsed, HabitsPreset) and parsed.cards * parsed.transactions_per_card_day > 10_000


def one_case(draw: random.Random, folder: Path) -> None:
    files = {name: folder / name for name in ("m.yaml", "events.jsonl", "labels.jsonl")}
    kind = draw.choice([*DOCUMENTS, "events", "labels", "both"])
    home = ["--home", folder]
    if kind in DOCUMENTS:
        files["m.yaml"].write_bytes(mutated(draw, DOCUMENTS[kind], YAML_TOKENS))
        files["events.jsonl"].write_bytes(EVENTS)
    else:
        files["m.yaml"].write_bytes(DOCUMENTS["plain rules"])
        for name, content in (("events", EVENTS), ("labels", LABELS)):
            changed = mutated(draw, content, JSON_TOKENS) if kind in (name, "both") else content
            files[f"{name}.jsonl"].write_bytes(changed)
    events, labels = files["events.jsonl"], files["labels.jsonl"]
    if kind == "settings":
        check(["config", "show", "--config", files["m.yaml"], *home])
        check(["rules", "check", CONFIGS / "rules.yaml", "--config", files["m.yaml"], *home])
    elif kind in ("rules", "plain rules"):
        check(["rules", "check", files["m.yaml"], "--json", *home])
        check(["rules", "test", files["m.yaml"], "--events", events, *home])
    elif kind == "preset":
        if not is_large(files["m.yaml"]):
            check(
                ["simulate", "--preset", files["m.yaml"], "--dry-run", "--days", "1", "--count", "5", *home]
            )
    elif kind == "mapping":
        try:
            parse_mapping(read_mapping_document(str(files["m.yaml"])))
        except FraudctlError as error:
            assert error.exit_code == 3
    else:
        pair = ["--events", events, "--labels", labels]
        check(["rules", "test", files["m.yaml"], "--events", events, *home])
        check(["evaluate", *pair, "--all-labels", *home, *draw.choice(([], ["--json"]))])
        if draw.random() < 0.3:
            days = ["--train-days", "9", "--delay-days", "0", "--test-days", "9"]
            way = draw.choice((["--model", "lr"], ["--features", "stream"]))
            check(["train", *pair, *days, *way, *home])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("batch", range(10))
def test_mutated_files_are_taken_or_refused_in_words(tmp_path: Path, batch: int) -> None:
    for number in range(batch * BATCH, (batch + 1) * BATCH):
        one_case(random.Random(f"files {number}"), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("batch", range(10))
def test_many_mutated_files_are_taken_or_refused_in_words(tmp_path: Path, batch: int) -> None:
    """Ten times as many, with other draws."""
    for number in range(batch * BATCH * 10, (batch + 1) * BATCH * 10):
        one_case(random.Random(f"many files {number}"), tmp_path)
