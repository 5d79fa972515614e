"""Detectors that die, stand still, or meet another one: what the tests of faults do and look at."""

import hashlib
import os
import shutil
import signal
import statistics
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.conftest import NewStack
from tests.support import scenario
from tests.support.stacks import Stack

# `make kill-matrix` sets it: every failpoint, and more of everything.
WHOLE_MATRIX = bool(os.environ.get("PROVE_WHOLE_MATRIX", ""))

_TABLES = (
    "SELECT * FROM fraud.fraud_metrics ORDER BY window_start, window_end, category",
    "SELECT * FROM fraud.batch_ledger ORDER BY query_id, batch_id",
    'SELECT * FROM fraud.dead_letters ORDER BY topic, partition, "offset"',
)


def fingerprint(stack: Stack) -> str:
    """Every landed row with every column, also when it was written: equal means that no row was touched."""
    rows: list[Any] = [scenario.execute(stack, table) for table in _TABLES]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def landings(database: str) -> int:
    """How often a batch has been landed so far, repetitions included."""
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT count(*) + coalesce(sum(replays), 0) FROM fraud.batch_ledger"
        ).fetchone()
    assert row
    return int(row[0])


def spread(seconds: list[float], target: float) -> str:
    """Median and 95th percentile (by linear interpolation) of some durations, in seconds.

    That a target of time is missed is said and fails nothing: it depends on what else the machine does.
    """
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
    missed = f" (target {target:g} s **missed**)" if p95 > target else ""
    return f"p50 {statistics.median(seconds):.1f} s, p95 {p95:.1f} s{missed}"


def elsewhere(new_stack: NewStack, stack: Stack, **settings: str) -> Stack:
    """Another home on the same broker and database, as a second machine would have it."""
    services = stack.json("status", check=False)["services"]
    postgres = services["postgres"]
    given = {
        "PROFILE": "external",
        "KAFKA__BOOTSTRAP_SERVERS": services["kafka"]["bootstrap_servers"],
        "POSTGRES__HOST": postgres["host"],
        "POSTGRES__PORT": str(postgres["port"]),
        "POSTGRES__DATABASE": postgres["database"],
        "POSTGRES__USER": postgres["user"],
        "POSTGRES__PASSWORD_FILE": str(postgres["password_file"]),
        **settings,
    }
    return new_stack({f"FRAUDCTL_{name}": value for name, value in given.items()})


def checkpoint(stack: Stack) -> Path:
    return stack.root / "data" / "checkpoint"


def hand_over(source: Stack, target: Stack) -> None:
    """Give the target the source's checkpoint as it is now, as a shared file system would."""
    shutil.rmtree(checkpoint(target), ignore_errors=True)
    shutil.copytree(checkpoint(source), checkpoint(target))


def wait_until_halted(stack: Stack) -> int:
    """Wait until the detector's whole group stands still; its leader's pid."""

    def halted() -> int | None:
        pid = scenario.detector_pid(stack)
        return pid if pid and psutil.Process(pid).status() == psutil.STATUS_STOPPED else None

    return int(scenario.wait_for("the detector to stand still", halted))


def wake(pid: int) -> None:
    os.killpg(pid, signal.SIGCONT)
