"""A command line that means nothing: one form of error, exit 2, and JSON when it was asked for."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from fraudctl.cli.main import run


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
    ("produce --rate abc", "'--rate'", "`fraudctl produce --help`"),
    ("produce --duration soon", "'soon' is not a time span", "`fraudctl produce --help`"),
    ("produce --rat 5", "no such option: --rat", "--rate"),
    ("produce --rate", "'--rate' requires an argument", "--help`"),
    ("produce --seed 1 extra", "extra", "`fraudctl produce --help`"),
    ("deadletters show 1", "missing argument 'offset'", "`fraudctl deadletters show --help`"),
    ("deadletters list --limit -1", "'--limit'", "`fraudctl deadletters list --help`"),
    ("deadletters list --since 1x", "'--since'", "`fraudctl deadletters list --help`"),
    ("frobnicate", "no such command 'frobnicate'", "`fraudctl --help`"),
    ("replay --from yesterday --to today", "'--from'", "`fraudctl replay --help`"),
]

CONFLICTS = [
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
