"""The benchmark harness from end to end on a tiny log, so that it cannot rot."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.services import ROOT, THIS

SIDES = {THIS, "naive Spark", "Spark scan", "consume", "consume + msgspec"}
PRODUCERS = {THIS, "naive loop", "ProducerPerformance"}


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.timeout(1200)
def test_a_tiny_run_measures_every_side_and_renders_a_page(tmp_path: Path) -> None:
    raw = tmp_path / "raw.json"
    options = ("--size", "tiny", "--no-flink", "--against", "", "--out", str(raw))

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "drain", "producers", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(raw.read_text(encoding="utf-8"))
    measured = {(one["group"], one["side"]) for one in document["samples"] if one["values"]}
    assert measured == {("drain", side) for side in SIDES} | {("producers", side) for side in PRODUCERS}
    assert all(sum(one["cpu_seconds"].values()) > 0 for one in document["samples"])
    assert any("agrees on every row" in note for note in document["runs"][0]["notes"]["drain"])
    page = report.publish(document, tmp_path / "page.md", tmp_path / "raw" / "samples.json")
    assert "drain against naive Spark" in page.read_text(encoding="utf-8")
