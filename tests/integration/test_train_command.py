"""`fraudctl train` as a user calls it, on a small preset and on the files that `simulate` writes."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from textwrap import dedent

import joblib
import pytest

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


def train(folder: Path, *arguments: str) -> dict[str, object]:
    done = fraudctl("train", "--seed", "5", "--home", str(folder), "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_preset_and_its_files_train_the_same_model(folder: Path) -> None:
    preset = str(folder / "small.yaml")
    days = ("--first-day", "9", "--model", "lr")
    first = train(folder, "--preset", preset, *days, "--out", str(folder / "models"))
    (model,) = first["models"]  # type: ignore[misc]
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
    (other,) = second["models"]  # type: ignore[misc]
    assert other["published"] is None, "recorded data is not the handbook's"
    assert other["score"]["auc_roc"] == pytest.approx(model["score"]["auc_roc"], abs=1e-9)


def test_days_beyond_the_data_are_refused(folder: Path) -> None:
    done = fraudctl(
        *("train", "--preset", str(folder / "small.yaml"), "--first-day", "25", "--home", str(folder))
    )
    assert done.returncode == 2
    assert "the data has 30 days" in done.stderr
