"""What the end-to-end tests do and look at, in the words of a user."""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from fraudctl.clock import Deadline
from tests.support.stacks import Stack


@dataclass
class Running:
    """A fraudctl command at work in the background."""

    process: "subprocess.Popen[str]"
    arguments: tuple[str, ...]

    def finish(self, *, seconds: float = 180, codes: tuple[int, ...] = (0,)) -> str:
        """Wait for its end; its stdout. Any other exit code fails with what it said."""
        out, err = self.process.communicate(timeout=seconds)
        assert self.process.returncode in codes, (
            f"{self.arguments} ended with {self.process.returncode}\n{err}"
        )
        self.stderr = err
        return out

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)


def start(stack: Stack, *arguments: str, env: dict[str, str] | None = None) -> Running:
    """Start one command and go on."""
    process = subprocess.Popen(
        [*stack.command, *arguments],
        env={**stack.env, **(env or {})},
        cwd=stack.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    return Running(process, arguments)


def detector_pid(stack: Stack) -> int | None:
    """The leader of the detector's process group, once it has been started and while it lives."""
    try:
        record = json.loads((stack.root / "run" / "detector.process.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    pid = int(record["pid"])
    return pid if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else None


def progress(stack: Stack) -> list[dict[str, Any]]:
    """The batches that the present run of the detector has reported."""
    file = stack.root / "run" / "detector.progress.jsonl"
    if not file.exists():
        return []
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    return [line for line in map(json.loads, lines) if "batch_id" in line]


def landed_records(stack: Stack) -> int:
    """How many records the present run of the detector has landed, whatever became of them."""
    return sum(sum(line["fates"].values()) for line in progress(stack))


def wait_for(what: str, found: Any, seconds: float = 120) -> Any:
    """Poll until `found()` gives something, which is returned."""
    deadline = Deadline(seconds)
    while not deadline.expired:
        result = found()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")


def kill_detector(stack: Stack) -> None:
    """kill -9 of the whole process group, as a power cut would."""
    pid = detector_pid(stack)
    assert pid is not None, "no detector to kill"
    os.killpg(pid, signal.SIGKILL)
    wait_for("the detector's end", lambda: detector_pid(stack) is None)


def kill_recorded(record: Path) -> None:
    """kill -9 of the process group that a process record names."""
    pid = int(json.loads(record.read_text(encoding="utf-8"))["pid"])
    os.killpg(pid, signal.SIGKILL)
    wait_for("its end", lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def execute(stack: Stack, statement: str, *values: object) -> list[Any]:
    """One SQL statement, committed; its rows, if it has any."""
    with psycopg.connect(stack.postgres, autocommit=True, options="-c timezone=UTC") as connection:
        cursor = connection.execute(statement, values or None)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def counted(stack: Stack) -> int:
    """Every transaction once: the sum over windows that do not overlap."""
    rows = execute(
        stack,
        "SELECT coalesce(sum(count), 0) FROM fraud.fraud_metrics"
        " WHERE extract(epoch FROM window_start)::bigint % 600 = 0",
    )
    return int(rows[0][0])


def leftovers(home: Path) -> list[str]:
    """Command lines of living processes that have to do with a home."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or ())
        if str(home) in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(command)
    return found
