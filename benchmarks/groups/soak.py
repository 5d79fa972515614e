"""Soak: steady traffic for half an hour while the detector is killed and started again."""

import json
import os
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks import processes, traffic
from benchmarks.errors import BenchError
from benchmarks.figures import Batch, percentile
from benchmarks.processes import Running
from benchmarks.runner import Context, Outcome
from benchmarks.services import Lane
from benchmarks.sides import detect

PARTITIONS = 3
_KILLS = 6
# A detector is given at least so long between two kills.
_BETWEEN_KILLS_SECONDS = 200.0
# A batch so soon after a start reads what was not read meanwhile, by a JVM that is cold.
_START_SECONDS = 60.0
# A key is kept for the sum of these: the state has its full size within the first quarter.
_LATENESS = {
    "LATENESS__LATE_SECONDS": "60",
    "LATENESS__FUTURE_SECONDS": "30",
    "LATENESS__SLACK_SECONDS": "60",
}
_WAL = "SELECT coalesce(sum(size), 0) FROM pg_ls_waldir()"


def run(context: Context) -> None:
    """Run once; in the end everything must be stored, and verified."""
    sizes = context.sizes
    kills = max(1, min(_KILLS, int(sizes.soak_seconds / _BETWEEN_KILLS_SECONDS)))
    context.note(
        "soak",
        f"{sizes.soak_rate:,} events/s for {sizes.soak_seconds:,.0f} s, the detector killed {kills} times; "
        f"the first {_START_SECONDS:g} s after each start do not count; events may be 60 s late and keys are "
        "kept for 150 s, so that the state is as large as it gets within the first quarter",
    )
    context.interleave("soak", {context.now.name: lambda: _soak(context, kills)}, rounds=1)


def _soak(context: Context, kills: int) -> Outcome:
    sizes = context.sizes
    topic = f"soak-{uuid.uuid4().hex[:8]}"
    traffic.create_topic(context.services.bootstrap_servers, topic, PARTITIONS, "LogAppendTime")
    settings = {"KAFKA__TIMESTAMP_TYPE": "LogAppendTime", "SPARK__DRIVER_MEMORY": detect.HEAP, **_LATENESS}
    with context.services.lane(context.now, topic, settings) as lane:
        arguments = ("--rate", str(sizes.soak_rate), "--duration", f"{sizes.soak_seconds:g}s", "--seed", "1")
        argv = lane.argv("produce", *arguments, "--json")
        with processes.running(argv, lane.env, lane.home, {}) as producer:
            began = time.time()
            batches, sizes_seen = _killed_again_and_again(lane, began, sizes.soak_seconds, kills)
            sent = json.loads(producer.wait(300).stdout)["acknowledged"]
        done = lane.run("detect", "--until-caught-up", "--json")
        verified = json.loads(lane.run("verify-idempotency", "--json").stdout)
        if verified["verdict"] != "ok" or verified["events_read"] != sent:
            raise BenchError(f"verify: {verified['verdict']}, {verified['events_read']:,} of {sent:,} events")
    quarter = sizes.soak_seconds / 4
    first = [batch.seconds for batch in batches if batch.began < began + _warm_up(quarter) + quarter]
    last = [batch.seconds for batch in batches if batch.began >= began + 3 * quarter]
    if not first or not last:
        raise BenchError("all is stored and verified, but the run was too short for quarters to compare")
    low, high = percentile(first, 0.95) * 1000, percentile(last, 0.95) * 1000
    values = {
        "p95_growth": round(high / low, 3),
        "p95_first_ms": round(low),
        "p95_last_ms": round(high),
        **{name: round(seen[-1], 1) for name, seen in sizes_seen.items()},
    }
    return Outcome(values, done.watch.cpu_seconds(), done.load, sizes_seen)


def _warm_up(quarter: float) -> float:
    return min(_START_SECONDS, quarter / 2)


def _killed_again_and_again(
    lane: Lane, began: float, seconds: float, kills: int
) -> tuple[list[Batch], dict[str, list[float]]]:
    """Run the detector until the time is over; return its usual batches, and sizes over time."""
    batches: list[Batch] = []
    seen: dict[str, list[float]] = {"checkpoint_mb": [], "wal_mb": [], "rss_mb": []}
    for number in range(1, kills + 2):
        until = began + seconds * number / (kills + 1)
        with processes.running(lane.argv("detect", "--json"), lane.env, lane.home, lane.services) as process:
            started = time.time()
            while time.time() < until and process.process.poll() is None:
                time.sleep(min(5.0, max(0.1, until - time.time())))
            found = detect.batches(detect.read_lines(lane.progress_file))
            usual = started + _warm_up(seconds / (kills + 1))
            batches += [batch for batch in found[1:] if batch.records and batch.began >= usual]
            _measure(lane, process, seen)
            if number <= kills:
                _kill(process)
            else:
                process.interrupt()
                process.wait(300, check=False)  # one that had not begun yet says so
    return batches, seen


def _measure(lane: Lane, process: Running, seen: dict[str, list[float]]) -> None:
    seen["checkpoint_mb"].append(_folder_bytes(lane.checkpoint) / 1e6)
    with psycopg.connect(lane.dsn) as connection:
        row: Any = connection.execute(_WAL).fetchone()
    seen["wal_mb"].append(float(row[0]) / 1e6)
    rss = 0
    for pid in process.watch.pids():
        try:
            rss += psutil.Process(pid).memory_info().rss
        except psutil.Error:
            continue
    seen["rss_mb"].append(rss / 1e6)


def _folder_bytes(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue  # a checkpoint's files come and go
    return total


def _kill(process: Running) -> None:
    """Kill every process of the detector at once, as a machine does that loses power."""
    for pid in process.watch.pids():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.process.wait(30)
