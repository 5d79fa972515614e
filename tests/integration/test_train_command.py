"""`fraudctl train` as a user calls it, on a small preset and on the files that `simulate` writes."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from textwrap import dedent
from typing import Any

import joblib
import pytest
import yaml

from fraudctl import assets

PRESET = """
model: handbook
description: a small one
start: 2018-04-01
days: 30
customers: 400
terminals: 300
radius: 10
label_delay_hours: [168, 168]
"""


def fraudctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fraudctl", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    (folder / "small.yaml").write_text(dedent(PRESET), encoding="utf-8")
    return folder


def train(folder: Path, *arguments: str) -> dict[str, Any]:
    done = fraudctl("train", "--seed", "5", "--home", str(folder), "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_preset_and_its_files_train_the_same_model(folder: Path) -> None:
    preset = str(folder / "small.yaml")
    days = ("--first-day", "9", "--model", "lr")
    first = train(folder, "--preset", preset, *days, "--out", str(folder / "models"))
    (model,) = first["models"]
    assert model["published"] is not None
    assert model["score"]["auc_roc"] > 0.6
    file = Path(model["file"])
    assert sha256(file.read_bytes()).hexdigest() == model["version"]
    assert file.name == f"lr-{model['version'][:12]}.joblib"
    description = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert (description["version"], description["features"]) == (model["version"], first["features"])
    assert joblib.load(file).n_features_in_ == len(description["features"]) == 15

    events, labels = str(folder / "events.jsonl"), str(folder / "labels.jsonl")
    done = fraudctl(
        *("simulate", "--preset", preset, "--seed", "5", "--out", events, "--labels", labels),
        *("--home", str(folder)),
    )
    assert done.returncode == 0, done.stderr
    second = train(folder, "--events", events, "--labels", labels, *days)
    for name in ("transactions", "fraud", "train_rows", "train_fraud", "test_rows", "test_fraud"):
        assert second[name] == first[name]
    (other,) = second["models"]
    assert other["published"] is None, "recorded data is not the handbook's"
    assert other["score"]["auc_roc"] == pytest.approx(model["score"]["auc_roc"], abs=1e-9)


def test_days_beyond_the_data_are_refused(folder: Path) -> None:
    done = fraudctl(
        *("train", "--preset", str(folder / "small.yaml"), "--first-day", "25", "--home", str(folder))
    )
    assert done.returncode == 2
    assert "the data has 30 days" in done.stderr


@pytest.fixture(scope="module")
def everyday(folder: Path) -> tuple[Path, Path]:
    """Files of events and labels of a few cards with habits."""
    preset = yaml.safe_load((assets.configs() / "scenarios" / "everyday.yaml").read_text(encoding="utf-8"))
    (folder / "few.yaml").write_text(yaml.safe_dump(preset | {"cards": 600}), encoding="utf-8")
    events, labels = folder / "few.jsonl", folder / "few-labels.jsonl"
    done = fraudctl(
        *("simulate", "--preset", str(folder / "few.yaml"), "--seed", "5", "--home", str(folder)),
        *("--out", str(events), "--labels", str(labels)),
    )
    assert done.returncode == 0, done.stderr
    return events, labels


def grown(folder: Path, events: Path, labels: Path, *arguments: str) -> dict[str, Any]:
    files = ("--events", str(events), "--labels", str(labels))
    return train(folder, "--features", "stream", *files, *arguments)


def test_a_forest_becomes_a_rule(folder: Path, everyday: tuple[Path, Path]) -> None:
    found = grown(folder, *everyday, "--out", str(folder / "models"))
    assert found["score"]["auc_roc"] > 0.9
    again = train(folder, "--features", "stream", "--preset", str(folder / "few.yaml"))
    assert again["name"] == found["name"], "simulated and read from files it is the same forest"
    file = Path(found["file"])
    assert file.name == f"{found['name']}.json"
    limit = found["limits"][4]
    rules = folder / "learned.yaml"
    rules.write_text(
        dedent(f"""
            rules:
              - id: learned
                reason: likely
                action: alert
                when:
                  model: {{file: models/{file.name}, score_over: {limit["score_over"]}}}
        """),
        encoding="utf-8",
    )
    # What is measured on some days is what the rule does to all of them, but for cards known by then.
    evaluated = fraudctl(
        *("evaluate", "--events", str(everyday[0]), "--labels", str(everyday[1]), "--all-labels"),
        *("--rules", str(rules), "--home", str(folder), "--json"),
    )
    assert evaluated.returncode == 0, evaluated.stderr
    alerts = json.loads(evaluated.stdout)["alerts"]
    assert alerts["recall"] == pytest.approx(limit["recall"], abs=0.15)
    listed = fraudctl("rules", "check", str(rules), "--home", str(folder))
    assert listed.returncode == 0, listed.stderr


def test_a_forest_never_sees_the_future(folder: Path, everyday: tuple[Path, Path]) -> None:
    """Whatever happens, and whatever is reported, after the forest is made: it is the same."""
    events = [json.loads(line) for line in everyday[0].read_text(encoding="utf-8").splitlines()]
    labels = [json.loads(line) for line in everyday[1].read_text(encoding="utf-8").splitlines()]
    days = ("--first-day", "7", "--train-days", "7", "--delay-days", "7", "--test-days", "7")
    before = grown(folder, *everyday, *days)
    made = f"{events[0]['event_time'][:8]}23T00:00:00"  # day 21 of those that begin on the 2nd

    def with_changes(name: str, events: list[dict[str, Any]], labels: list[dict[str, Any]]) -> str:
        files = []
        for kind, lines in (("events", events), ("labels", labels)):
            files.append(folder / f"{name}-{kind}.jsonl")
            text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
            files[-1].write_text(text, encoding="utf-8")
        result: str = grown(folder, *files, *days)["name"]
        return result

    later = [
        {**one, "amount_minor": 1, "card_id": "c", "merchant_id": "m"} if one["event_time"] >= made else one
        for one in events
    ]
    unknown = [one for one in labels if one["reported_at"] <= made]
    assert 0 < len(unknown) < len(labels)
    assert later != events
    assert with_changes("later", later, unknown) == before["name"]
    # And it is not blind: what was known then does make a difference.
    assert with_changes("less", events, unknown[len(unknown) // 2 :]) != before["name"]


def test_a_forest_that_cannot_be_is_refused(folder: Path, everyday: tuple[Path, Path]) -> None:
    for arguments, says in (
        (("--model", "lr"), "only forests judge in the stream"),
        (("--within-minutes", "1441"), "0 to 1440 minutes"),
    ):
        done = fraudctl(
            *("train", "--features", "stream", "--preset", str(folder / "few.yaml"), *arguments),
            *("--home", str(folder)),
        )
        assert done.returncode == 2
        assert says in done.stderr
