"""The side `detect`: fraudctl's command line, with everything it guarantees switched on."""

import json
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.figures import Batch, rates
from benchmarks.processes import Finished
from benchmarks.runner import Outcome
from benchmarks.services import Lane
from benchmarks.traffic import Loaded

HEAP = "3g"
# Windows are ten minutes long and begin every minute.
WINDOWS_PER_EVENT = 10
# A naive side may drop what came late, and count a copy that came long after; more is no result.
_PLAUSIBLE = 0.05


def settings(batch: int, **more: str) -> dict[str, str]:
    """Return the settings of a drain: batches of one size, back to back, in the heap that every side has."""
    return {
        "SPARK__DRIVER_MEMORY": HEAP,
        "SPARK__MAX_OFFSETS_PER_TRIGGER": str(batch),
        "SPARK__TRIGGER_SECONDS": "0",
        **more,
    }


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Read the whole lines of a progress file; none if there is no file yet."""
    if not file.is_file():
        return []
    text = file.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def batches(lines: Iterable[dict[str, Any]]) -> list[Batch]:
    """Return the micro-batches of a progress file; what each read follows from where it ended."""
    found = []
    before = 0
    for line in lines:
        if "end_offsets" not in line:
            continue
        end = sum(line["end_offsets"].values())
        began = datetime.fromisoformat(line["finished_at"]).timestamp()
        found.append(Batch(end - before, began, line["trigger_ms"] / 1000))
        before = end
    return found


def drain(lane: Lane, loaded: Loaded) -> Outcome:
    """Let `detect` read a whole preloaded log into an empty database.

    Raises:
        BenchError: it did not read exactly what the log holds.
    """
    return drained(lane, lane.run("detect", "--until-caught-up", "--json"), loaded)


def drained(lane: Lane, done: Finished, loaded: Loaded) -> Outcome:
    """Check a finished drain and return its figures."""
    result = json.loads(done.stdout)
    lines = read_lines(lane.progress_file)
    if result["records"] != loaded.records:
        raise BenchError(f"detect read {result['records']:,} of {loaded.records:,} records")
    ended = [line for line in lines if "end_offsets" in line][-1]["end_offsets"]
    if sum(ended.values()) != loaded.records:
        raise BenchError(f"the newest batch ended at {ended}, not at the log's end")
    return figures(batches(lines), done)


def figures(found: list[Batch], done: Finished) -> Outcome:
    """Return the figures of a drain by micro-batches."""
    speed = rates(found)
    cpu = done.watch.cpu_between(speed.steady_began, speed.steady_ended)
    first = min(batch.began + batch.seconds for batch in found if batch.records)
    return Outcome.of(
        {
            "events_per_second": round(speed.steady, 1),
            "best_events_per_second": round(speed.best, 1),
            "cpu_us_per_event": round(cpu / speed.steady_records * 1e6, 2),
            "wall_seconds": round(done.seconds, 2),
            "whole_events_per_second": round(sum(batch.records for batch in found) / done.seconds, 1),
            "first_batch_seconds": round(first - done.began, 2),
        },
        done.watch,
        done.load,
        series={"batch_seconds": [round(batch.seconds, 3) for batch in found if batch.records]},
    )


def verify(lane: Lane, loaded: Loaded) -> Outcome:
    """Let `verify-idempotency` recount what a drain has stored.

    Raises:
        BenchError: it found a difference, or did not read exactly what the log holds.
    """
    done = lane.run("verify-idempotency", "--json")
    result = json.loads(done.stdout)
    if result["verdict"] != "ok" or result["events_read"] != loaded.records:
        raise BenchError(
            f"verify: {result['verdict']}, {result['events_read']:,} of {loaded.records:,} records"
        )
    return Outcome.of(
        {
            "events_per_second": round(loaded.records / done.seconds, 1),
            "cpu_us_per_event": round(sum(done.watch.cpu_seconds().values()) / loaded.records * 1e6, 2),
            "wall_seconds": round(done.seconds, 2),
        },
        done.watch,
        done.load,
    )


def wait_for_batches(lane: Lane, number: int, seconds: float) -> list[Batch]:
    """Wait until so many batches with records have been written.

    Raises:
        BenchError: that took too long.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = [batch for batch in batches(read_lines(lane.progress_file)) if batch.records]
        if len(found) >= number:
            return found
        time.sleep(0.1)
    raise BenchError(f"detect did not finish {number} batches within {seconds:g} s")


def check_plausible(side: str, counted: float, events: int) -> None:
    """Compare what a side without proof has counted with what the log holds.

    Raises:
        BenchError: they are further apart than late events and copies explain.
    """
    if abs(counted - events) > _PLAUSIBLE * events:
        raise BenchError(f"{side} counted {counted:,.0f} events, and the log holds {events:,}")
