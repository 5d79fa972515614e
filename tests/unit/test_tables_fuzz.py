"""Mutated tables and mappings: never a traceback, never a bug's exit code, never a hang."""

import gzip
import os
import random
import time
from pathlib import Path

import pytest

from fraudctl.errors import ExitCode
from tests.support.foreign_tables import check, generic, rows, text_of, write_mapping, write_parquet

SECONDS = 5.0
# Codes with which a command may end on a file that somebody has spoiled.
EXPECTED = {ExitCode.DONE, ExitCode.USAGE, ExitCode.REFUSED, ExitCode.DATA}
TEXTS = [
    "\x00",
    '"',
    "\n",
    "\r",
    ",",
    ";",
    "E+15",
    "NaN",
    "-",
    "{",
    "[",
    ":",
    "&a",
    "*a",
    "!!binary",
    "null",
    "true",
    "\t",
    "PAR1",
    "1e999999999",
    "2024-13-45",
    "<<:",
    "|",
    ">",
    "%",
    "@",
    "`",
]
PIECES = [b"\xff", b"\xef\xbb\xbf", b"9" * 40, *[text.encode() for text in TEXTS]]


@pytest.fixture(autouse=True)
def _no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FRAUDCTL_")]:
        monkeypatch.delenv(name)


def mutated(content: bytes, drawn: random.Random) -> bytes:
    """Return bytes with a few of them changed, put in, taken out or repeated."""
    data = bytearray(content)
    for _ in range(drawn.choice([1, 1, 2, 3, 8, 40])):
        at = drawn.randrange(len(data) + 1)
        match drawn.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << drawn.randrange(8)
            case 1:
                data[at:at] = drawn.choice(PIECES)
            case 2:
                del data[at : at + drawn.choice([1, 2, 10, 100])]
            case 3:
                data[at:at] = data[at : at + drawn.randrange(200)]
            case _:
                data[at : at + 1] = bytes([drawn.randrange(256)])
    return bytes(data)


def run_mutations(folder: Path, first: int, count: int) -> None:
    """Try files number `first` and on; each number always gives the same file."""
    table = write_parquet(folder / "base.parquet", rows(40), row_group_size=15, compression="snappy")
    document = generic({"column": "fraud", "fraud": ["1"], "genuine": ["0"]}) | {"table": {"delimiter": ","}}
    mapping = write_mapping(folder / "base.yaml", document)
    plain = write_mapping(folder / "plain.yaml", generic())
    text = text_of(rows(40)).encode()
    (folder / "base.csv").write_bytes(text)
    bases = {
        "t.csv": text,
        "u.csv": text_of(rows(40), ";", end="\r\n").encode("utf-16"),
        "t.csv.gz": gzip.compress(text, mtime=0),
        "t.parquet": table.read_bytes(),
        "m.yaml": Path(mapping).read_bytes(),
    }
    for number in range(first, first + count):
        drawn = random.Random(number)
        name = drawn.choice(sorted(bases))
        file = folder / name
        file.write_bytes(mutated(bases[name], drawn))
        began = time.process_time()
        if name == "m.yaml":
            done = check(folder / "base.csv", str(file), text=True)
        else:
            done = check(file, plain, text=True)
        assert done.code in EXPECTED, (number, name, done)
        assert "Traceback" not in done.out + done.err, (number, name)
        assert done.code == ExitCode.DONE or "error: " in done.err, (number, name)
        assert time.process_time() - began < SECONDS, (number, name)


def test_two_hundred_mutated_files(tmp_path: Path) -> None:
    run_mutations(tmp_path, 0, 200)


@pytest.mark.slow
def test_two_thousand_mutated_files(tmp_path: Path) -> None:
    run_mutations(tmp_path, 200, 2_000)
