"""`fraudctl simulate` as a user meets it. No service is needed."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest


def simulate(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fraudctl", "simulate", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def result(*arguments: str, folder: Path) -> dict[str, object]:
    done = simulate(*arguments, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_files_have_the_digests_that_are_printed_and_a_dry_run_has_the_same(tmp_path: Path) -> None:
    options = ("--seed", "5", "--days", "2")
    written = result(*options, "--out", "events.jsonl", "--labels", "labels.jsonl", folder=tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["events.jsonl", "labels.jsonl"]
    assert written["digest"] == sha256(tmp_path / "events.jsonl")
    assert written["labels_digest"] == sha256(tmp_path / "labels.jsonl")
    dry = result(*options, "--dry-run", folder=tmp_path)
    assert (dry["digest"], dry["labels_digest"]) == (written["digest"], written["labels_digest"])


def test_labels_name_events_of_the_file(tmp_path: Path) -> None:
    written = result(
        "--seed", "5", "--days", "2", "--out", "events.jsonl", "--labels", "labels.jsonl", folder=tmp_path
    )
    events, labels = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("events", "labels")
    )
    assert len(events) == written["transactions"]
    assert len(labels) == written["fraud"] == written["labels"]
    assert {label["transaction_id"] for label in labels} <= {event["transaction_id"] for event in events}
    assert not any("scenario" in event or "label" in event for event in events)


@pytest.mark.parametrize("faults", [(), ("--faults",)])
def test_a_count_is_a_beginning(tmp_path: Path, faults: tuple[str, ...]) -> None:
    options = ("--preset", "rough", "--seed", "5", *faults)
    result(*options, "--out", "all.jsonl", folder=tmp_path)
    part = result(*options, "--out", "part.jsonl", "--count", "12345", folder=tmp_path)
    assert part["messages"] == 12_345
    assert (tmp_path / "all.jsonl").read_bytes().startswith((tmp_path / "part.jsonl").read_bytes())


def test_faults_are_counted_and_every_message_has_a_fate(tmp_path: Path) -> None:
    done = result("--preset", "rough", "--seed", "5", "--faults", "--out", "all.jsonl", folder=tmp_path)
    fates, faults = done["fates"], done["faults"]
    assert isinstance(fates, dict)
    assert isinstance(faults, dict)
    assert sum(fates.values()) == done["messages"] == (tmp_path / "all.jsonl").read_bytes().count(b"\n")
    assert done["messages"] == done["transactions"] + faults["duplicates"]  # type: ignore[operator]


def test_the_dial_is_drawn_as_a_picture(tmp_path: Path) -> None:
    options = ("--seed", "5", "--days", "1", "--difficulty-plot")
    done = result(*options, "dial.png", folder=tmp_path)
    points: list[dict[str, dict[str, float]]] = done["points"]  # type: ignore[assignment]
    assert len(points) == 21
    easiest, hardest = points[0]["yardstick"], points[-1]["yardstick"]
    assert easiest["recall"] >= 0.95
    assert hardest["recall"] <= 2 * hardest["random_recall"]
    assert (tmp_path / "dial.png").read_bytes().startswith(b"\x89PNG\r\n")
    result(*options, "again.png", folder=tmp_path)
    assert (tmp_path / "dial.png").read_bytes() == (tmp_path / "again.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--seed", "1"], 2, "--dry-run"),
        (["--dry-run", "--out", "x"], 2, "--dry-run"),
        (["--dry-run", "--seed", "-1"], 2, "seed"),
        (["--dry-run", "--count", "0"], 2, "count"),
        (["--dry-run", "--faults"], 2, "no faults"),
        (["--dry-run", "--preset", "evryday"], 3, "did you mean everyday?"),
        (["--dry-run", "--difficulty", "2"], 2, "difficulty"),
        (["--preset", "handbook", "--difficulty-plot", "x.png"], 2, "no difficulty"),
        (["--preset", "handbook", "--difficulty", "0.5", "--dry-run"], 2, "difficulty"),
        (["--out", "x", "--labels", "./x", "--seed", "1"], 2, "the same file"),
        (["--out", "no/such/folder/x", "--seed", "1"], 3, "error: no/such/folder/x cannot be found"),
        (
            ["--out", "/dev/full", "--seed", "1", "--count", "5"],
            3,
            "/dev/full cannot be written: the disk is full",
        ),
        (["--labels", "/dev/full", "--seed", "1"], 3, "/dev/full cannot be written: the disk is full"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    done = simulate(*arguments, folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as readers:
        read = readers.submit((tmp_path / "pipe").read_bytes)
        result("--preset", "everyday", "--seed", "1", "--count", "3", "--out", "pipe", folder=tmp_path)
        assert read.result(timeout=60).count(b"\n") == 3
    assert (tmp_path / "pipe").is_fifo()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("option", ["--out", "--labels"])
def test_a_pipe_that_nobody_reads_is_refused_and_not_waited_for(tmp_path: Path, option: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = simulate("--seed", "1", "--count", "3", option, "pipe", folder=tmp_path)
    assert done.returncode == 3
    assert "error: nobody reads the pipe pipe\n" in done.stderr


@pytest.mark.parametrize("name", ["loop", "loop/events"])
def test_a_link_that_leads_back_to_itself_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    done = simulate("--seed", "1", "--count", "3", "--out", name, folder=tmp_path)
    assert done.returncode == 3
    assert f"error: {name} cannot be opened: it is a link that leads back to itself" in done.stderr
    assert (tmp_path / "loop").is_symlink() and len(list(tmp_path.iterdir())) == 1


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "events").write_text("old\n", encoding="utf-8")
    (tmp_path / "link").symlink_to("elsewhere/events")
    result("--preset", "everyday", "--seed", "1", "--count", "3", "--out", "link", folder=tmp_path)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "events").read_text(encoding="utf-8").count("\n") == 3


def test_a_file_of_one_s_own_is_a_preset(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "model: habits\ndescription: mine\nstart: 2026-01-01\ndays: 1\ncards: 50\nmerchants: 20\n"
        "transactions_per_card_day: 3\nfraud_rate: 0.1\ndifficulty: 0\nlabel_delay_hours: [0, 0]\n"
        "mix: {velocity_burst: 1}\n"
    )
    done = result("--preset", "mine.yaml", "--seed", "1", "--dry-run", folder=tmp_path)
    assert done["by_scenario"]["velocity_burst"] == done["fraud"] > 0  # type: ignore[index,operator]
