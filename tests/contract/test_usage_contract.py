"""A command line that means nothing: one form of error, exit 2, and JSON when it was asked for."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

from fraudctl.cli.main import app, run


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def fraudctl(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> "Fraudctl":
    monkeypatch.setenv("FRAUDCTL_HOME", str(tmp_path))
    return Fraudctl(monkeypatch, capsys)


class Fraudctl:
    """The program as the shell starts it, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, line: str) -> Said:
        self._monkeypatch.setattr("sys.argv", ["fraudctl", *line.split()])
        with pytest.raises(SystemExit) as caught:
            run()
        assert isinstance(caught.value.code, int)
        return Said(caught.value.code, *self._capsys.readouterr())


WRONG = [
    (
        "produce --count \u0661",
        '--count must be a whole number, not the text "\u0661"',
        "`fraudctl produce --help`",
    ),
    ("produce --count 1e3", '--count must be a whole number, not the text "1e3"', "produce --help`"),
    ("produce --difficulty x", '--difficulty must be a number, not the text "x"', "produce --help`"),
    ("simulate --fraud-rate 1%", '--fraud-rate must be a number, not the text "1%"', "simulate --help`"),
    ("deadletters show 1 x", 'offset must be a whole number, not the text "x"', "show --help`"),
    ("alerts --limit 1.5", '--limit must be a whole number, not the text "1.5"', "alerts --help`"),
    ("produce --rate abc", "'--rate'", "`fraudctl produce --help`"),
    ("produce --duration soon", "'soon' is not a time span", "`fraudctl produce --help`"),
    ("produce --rat 5", "no such option: --rat", "--rate"),
    ("produce --rate", "'--rate' requires an argument", "--help`"),
    ("produce --seed 1 extra", "extra", "`fraudctl produce --help`"),
    ("deadletters show 1", "missing argument 'offset'", "`fraudctl deadletters show --help`"),
    (
        "deadletters list --limit -1",
        "--limit must be 0 or more, not the number -1",
        "`fraudctl deadletters list --help`",
    ),
    ("deadletters list --since 1x", "'--since'", "`fraudctl deadletters list --help`"),
    ("frobnicate", "no such command 'frobnicate'", "`fraudctl --help`"),
    ("replay --from yesterday --to today", "'--from'", "`fraudctl replay --help`"),
]

CONFLICTS = [
    ("produce --labels --no-labels --count 1", "--labels and --no-labels contradict each other"),
    ("produce --preset everyday --no-labels --labels", "--labels and --no-labels contradict each other"),
    ("produce --labels --count 1", "--labels is for a preset or a file, and there is none"),
    ("produce --no-labels --count 1", "--no-labels is for a preset or a file, and there is none"),
    ("produce --days 0", "--days is for a preset, and there is none"),
    ("produce --label-delay 1h", "--label-delay is for a preset or a file, and there is none"),
    ("produce --faults --days 2", "--days and --faults are for a preset, and there is none"),
    ("produce --resume --mapping ulb", "--mapping and --resume are for a file, and there is none"),
    ("produce --preset everyday --dry-run", "--dry-run is for a file, and --preset simulates"),
    ("produce --from-file t.csv --seed 1", "--seed is for simulated transactions or a preset"),
    ("produce --from-file t.csv --preset everyday", "--preset and --from-file exclude each other"),
    ("produce --from-file t.csv --faults", "--faults is for a preset, and --from-file sends a file"),
    (
        "produce --from-file t.csv --faults --days 2 --difficulty 0.5",
        "--days, --difficulty and --faults are for a preset, and --from-file sends a file",
    ),
    ("rules check a.yaml --stack a --stack b", "--stack is given twice"),
    ("evaluate --events a --labels b --events c", "--events is given twice"),
    ("evaluate --allow-rejected 5%", "--allow-rejected is for files"),
    ("evaluate --all-labels --label-delay 5d", "--label-delay changes nothing"),
    ("rules test a.yaml --allow-rejected 5%", "--allow-rejected is for a file"),
    ("train --allow-rejected 5%", "--allow-rejected is for files"),
    ("train --preset handbook --events a --labels b", "a preset is simulated, and files are read"),
    ("detect --stop --detach", "--stop ends the detector that runs, and cannot be combined with --detach"),
    ("detect --stop --takeover", "with --takeover"),
    ("detect --stop --duration 5s", "with --duration"),
    ("detect --stop --until-caught-up --dry-run", "with --until-caught-up, --dry-run"),
    ("detect --detach --until-caught-up", "--until-caught-up needs somebody to watch"),
    ("detect --detach --dry-run", "--dry-run starts nothing"),
    ("replay", "in one way"),
    ("replay --rebuild --last-batches 2", "in one way"),
    ("replay --rebuild --from 2026-03-10T12:00:00Z --to 2026-03-10T13:00:00Z", "in one way"),
    ("replay --last-batches 2 --to 2026-03-10T13:00:00Z", "in one way"),
    ("replay --from 2026-03-10T12:00:00Z", "in one way"),
    ("replay --rules rules.yaml --apply", "in one way"),
    ("replay --rules rules.yaml --rebuild --last-batches 2", "in one way"),
    ("replay --last-batches 2 --apply", "--apply: only for a range or --rebuild"),
    ("replay --from 2026-03-10T12:00:00Z --to 2026-03-10T11:00:00Z", "--to does not lie after --from"),
    ("replay --last-batches 2 --batch-size 5", "--batch-size has no meaning with --last-batches"),
    ("replay --last-batches 1 --rules x.yaml", "--rules: only for a range or --rebuild"),
    ("migrate --status --check", "exclude each other"),
    ("demo --picture shot.png", "shot.png is named as something else"),
    ("demo --picture shot", "shot is named as something else"),
    ("demo --picture nowhere/shot.svg", "there is no folder for nowhere/shot.svg"),
]


@pytest.mark.parametrize(("line", "words", "hint"), WRONG)
def test_what_typer_refuses_is_told_as_everything_else(
    fraudctl: Fraudctl, line: str, words: str, hint: str
) -> None:
    said = fraudctl(line)
    assert (said.code, said.out) == (2, "")
    first, *_, last = said.err.splitlines()
    assert first.startswith("error: ")
    assert words in said.err
    assert last.startswith("hint: ") and hint in last
    assert "Usage:" not in said.err


@pytest.mark.parametrize(("line", "words", "hint"), WRONG)
def test_the_same_as_json(fraudctl: Fraudctl, line: str, words: str, hint: str) -> None:
    said = fraudctl(line.replace("produce ", "produce --json ") if "produce" in line else f"{line} --json")
    assert said.code == 2
    error = json.loads(said.out)["error"]
    assert error["exit_code"] == 2
    assert words in error["message"]
    assert hint in error["hint"]


@pytest.mark.parametrize(("line", "words"), CONFLICTS)
def test_flags_that_contradict_each_other_are_refused(fraudctl: Fraudctl, line: str, words: str) -> None:
    said = fraudctl(line)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert "hint: " in said.err
    as_json = fraudctl(f"{line} --json")
    assert as_json.code == 2
    assert words in json.loads(as_json.out)["error"]["message"]


@pytest.mark.parametrize(
    ("line", "heading"), [("", "Run:"), ("deadletters", "Commands:"), ("config", "Commands:")]
)
def test_a_group_without_its_command_shows_its_help(fraudctl: Fraudctl, line: str, heading: str) -> None:
    said = fraudctl(line)
    assert (said.code, said.out) == (2, "")
    assert heading in said.err
    assert "error:" not in said.err


def test_what_is_no_error_ends_with_zero(fraudctl: Fraudctl) -> None:
    assert fraudctl("--version").code == 0
    said = fraudctl("config show --json")
    assert said.code == 0
    assert "kafka" in json.loads(said.out)


def test_an_exit_code_of_a_command_is_the_programs(fraudctl: Fraudctl) -> None:
    """Nothing is up: produce cannot reach a broker."""
    assert fraudctl("produce --count 1").code == 4
    assert json.loads(fraudctl("produce --count 1 --json").out)["error"]["exit_code"] == 4


@pytest.mark.parametrize("line", ["--help", "--version", "produce --help", "config show"])
def test_an_output_on_a_full_disk_is_refused(line: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fraudctl", *line.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.startswith("error: standard output cannot be written: the disk is full")
    assert "--home" not in done.stderr


def test_an_output_that_is_closed_is_refused(tmp_path: Path) -> None:
    line = f"{sys.executable} -m fraudctl config show --home {tmp_path} >&-"
    done = subprocess.run(line, shell=True, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("error: standard output cannot be written: it is closed")


def test_talk_that_cannot_be_written_changes_no_exit_code() -> None:
    line = f"{sys.executable} -m fraudctl frobnicate 2>/dev/full"
    assert subprocess.run(line, shell=True, check=False).returncode == 2


def test_a_file_that_cannot_be_written_is_told_as_json_too(fraudctl: Fraudctl) -> None:
    said = fraudctl("simulate --seed 1 --count 1 --out /nope/x --json")
    assert said.code == 3
    assert json.loads(said.out)["error"]["message"].startswith("/nope/x cannot be found")


def test_a_hint_about_a_file_does_not_send_to_a_preset_that_is_refused_beside_it(fraudctl: Fraudctl) -> None:
    assert "hint: leave --faults out\n" in fraudctl("produce --from-file t.csv --faults").err


def numbers() -> list[str]:
    """Return every option of a number with its command, such as `produce --count`."""
    found: list[str] = []

    def walk(command: Any, name: str) -> None:
        for inner, each in getattr(command, "commands", {}).items():
            walk(each, f"{name} {inner}".strip())
        for parameter in command.params:
            kind = getattr(parameter, "type_descriptor", None)
            if kind is not None and kind.annotation in (int, float) and parameter.opts[0].startswith("--"):
                found.append(f"{name} {parameter.opts[0]}")

    walk(typer.main.get_command(app), "")
    return found


@pytest.mark.parametrize("option", numbers())
@pytest.mark.parametrize("value", ["words", "\u0661", "1_0x", ""])
def test_a_number_that_is_none_is_refused_in_plain_words(fraudctl: Fraudctl, option: str, value: str) -> None:
    said = fraudctl(f"{option}={value}")
    assert said.code == 2
    assert "Input should" not in said.err and "unable to parse" not in said.err


def test_there_are_options_of_numbers() -> None:
    assert {"produce --count", "simulate --fraud-rate", "alerts --limit"} <= set(numbers())
