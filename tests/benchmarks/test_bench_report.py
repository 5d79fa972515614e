"""The page of the benchmark harness, rendered from raw samples."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.errors import BenchError, UnavailableError
from benchmarks.goals import GOALS, TIMES
from benchmarks.options import TINY
from benchmarks.runner import Context, Outcome, Results
from benchmarks.services import THIS
from benchmarks.tables import TABLES

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 24.0,
    "system": "Linux 6",
    "java": "17",
    "python": "3.11",
    "packages": {"pyspark": "4.2.0"},
    "flink": "2.3.0",
}


def sample(group: str, side: str, number: int, run: str = "2026-01-01", **values: float) -> dict[str, Any]:
    load = {"load_before": 0.1, "busy": 0.9, "steal": 0.02}
    return {
        "run": run,
        "group": group,
        "side": side,
        "round": number,
        "warm_up": False,
        "values": values,
        "cpu_seconds": {"jvm": 1.0},
        "load": load,
        "series": {},
    }


def document(*samples: dict[str, Any], date: str = "2026-01-01") -> dict[str, Any]:
    run = {"date": date, "commit": "abcdef0", "against": "a5d5276", "size": "quick", "rounds": 2}
    run |= {"machine": MACHINE, "notes": {"drain": [f"3,000 records on {date}"]}}
    return {"runs": [run], "samples": list(samples)}


def drained(detect: float, naive: float) -> dict[str, Any]:
    rows = []
    for number in (1, 2):
        rows.append(sample("drain", THIS, number, events_per_second=detect * number))
        rows.append(sample("drain", "naive Spark", number, events_per_second=naive * number))
    return document(*rows)


def test_a_goal_that_is_reached_is_met() -> None:
    text = report.text(drained(150_000, 100_000))

    assert (
        f"| drain against naive Spark, 2 partitions | ≥ 1.3 {TIMES} (1.8 {TIMES}) | 1.50 {TIMES} | met |"
        in text
    )


def test_a_goal_that_is_not_reached_is_missed() -> None:
    assert f"| 0.50 {TIMES} | **missed** |" in report.text(drained(50_000, 100_000))


def test_a_goal_without_samples_is_not_measured() -> None:
    text = report.text(drained(1, 1))

    assert text.count("not measured") == len(GOALS) - 1


def test_a_table_has_ratio_median_and_best_of_every_side() -> None:
    text = report.text(drained(150_000, 100_000))

    assert "| side | this commit ÷ side | median k events/s (more is better) | best | rounds |" in text
    assert f"| naive Spark | 1.50 {TIMES} | 150 | 200 | 2 |" in text
    assert "* 3,000 records on 2026-01-01" in text


def test_what_failed_is_said_beside_the_table() -> None:
    failed = sample("drain", "Flink", 1) | {"error": "it ended with 1\nand more"}
    samples = [*drained(1, 1)["samples"], failed]

    assert "* Flink failed in round 1: it ended with 1" in report.text(document(*samples))


def test_the_page_names_machine_and_commit_and_keeps_the_samples(tmp_path: Path) -> None:
    given = drained(150_000, 100_000)
    page, raw = tmp_path / "benchmarks.md", tmp_path / "benchmarks" / "samples.json"

    report.publish(given, page, raw)

    text = page.read_text(encoding="utf-8")
    assert "* 2026-01-01, commit `abcdef0` beside `a5d5276`, size `quick`, 2 rounds: drain" in text
    assert "2 cores of a processor, 24 GB" in text
    assert "![Drain of a preloaded log](benchmarks/drain.svg)" in text
    assert (raw.parent / "drain.svg").stat().st_size < 50_000
    assert json.loads(raw.read_text(encoding="utf-8")) == given


def test_a_group_that_was_run_again_replaces_the_one_before() -> None:
    old = drained(100_000, 100_000)
    old["samples"].append(sample("cores", "local[1]", 1, events_per_second=1.0))
    new = document(sample("drain", THIS, 1, "2026-02-02", events_per_second=7.0), date="2026-02-02")

    merged = report.merge([old, new])

    assert [(one["group"], one["run"]) for one in merged["samples"]] == [
        ("cores", "2026-01-01"),
        ("drain", "2026-02-02"),
    ]
    assert [run["date"] for run in merged["runs"]] == ["2026-01-01", "2026-02-02"]
    assert "* 3,000 records on 2026-02-02" in report.text(merged)
    assert report.merge([merged]) == merged


def test_every_goal_names_a_group_that_has_a_table() -> None:
    some = document(sample("none", THIS, 1))

    assert all(goal.measure(some["samples"]) is None for goal in GOALS)
    assert {"drain", "defaults", "live-500", "live-2000", "start", "verify", "producers"} <= TABLES.keys()


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "raw.json", {"date": "2026-01-01"})


@pytest.fixture
def context(results: Results, tmp_path: Path) -> Context:
    return Context(TINY, 2, tmp_path, None, False, results.add, tmp_path, ExitStack())


def test_rounds_interleave_and_begin_with_another_side(context: Context, results: Results) -> None:
    ran: list[str] = []

    def side(name: str) -> Any:
        return lambda: ran.append(name) or Outcome({"x": 1.0})

    context.interleave("g", {"a": side("a"), "b": side("b")}, warm_up=1)

    assert ran == ["b", "a", "a", "b", "b", "a"]
    assert [one["warm_up"] for one in results.document["samples"]] == [True, True, False, False, False, False]


def test_a_failure_ends_one_sample_and_not_the_run(context: Context, results: Results) -> None:
    def fails() -> Outcome:
        raise BenchError("it broke")

    context.interleave("g", {"a": fails, "b": lambda: Outcome({"x": 1.0})})

    errors = [one.get("error") for one in results.document["samples"]]
    assert errors.count("it broke") == 2
    assert errors.count(None) == 2


def test_a_side_that_cannot_run_here_is_left_out_with_its_reason(
    context: Context, results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> Outcome:
        raise UnavailableError("no packages")

    context.interleave("g", {"Flink": missing, "b": lambda: Outcome({"x": 1.0})})

    assert [one["side"] for one in results.document["samples"]] == ["b", "b"]
    assert context.notes == {"g": ["Flink is left out: no packages"]}
    assert "no packages" in capsys.readouterr().out


def test_raw_samples_are_on_disk_after_each_one(context: Context, tmp_path: Path) -> None:
    context.interleave("g", {"a": lambda: Outcome({"x": 1.0})}, rounds=1)

    assert len(json.loads((tmp_path / "raw.json").read_text(encoding="utf-8"))["samples"]) == 1
