"""Stop everything that runs in a stack; keep its data unless told otherwise."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM, Signals

from fraudctl.clock import Deadline
from fraudctl.config.lane import REPLAY
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.operations import detect
from fraudctl.runtime import stack
from fraudctl.runtime.processes import is_alive, read_record
from fraudctl.runtime.processes import stop as stop_process
from fraudctl.runtime.progress import Observe, Progress, silent
from fraudctl.runtime.services import kafka, postgres


@dataclass(frozen=True)
class DownRequest:
    """`volumes` removes the stack's folder: data, logs, secrets and state."""

    settings: Settings
    paths: StackPaths
    volumes: bool = False


@dataclass(frozen=True)
class DownReport:
    """How each process ended: stopped, killed, or was not running. `kept` is None once it is removed."""

    stopped: dict[str, str]
    removed: Path | None
    kept: Path | None


def down(request: DownRequest, *, observe: Observe = silent) -> DownReport:
    """Stop the detector, then the broker, then the database; twice is once.

    Raises:
        NotReadyError: another command was changing the stack all the time, or a process outlived KILL.
        RefusedError: a process belongs to another user.
    """
    paths = request.paths
    if not paths.root.is_dir():
        return DownReport(dict.fromkeys(("detector", "kafka", "postgres"), "was not running"), None, None)
    deadline = Deadline(request.settings.timeouts.down_seconds)
    with stack.changing(paths, deadline):
        stopped = {"detector": _stop_detector(request, observe)}
        replay = _stop(REPLAY.record(paths), deadline, None, "replay", observe)
        if replay != "was not running":
            stopped["replay"] = replay
        for service in (kafka, postgres):
            record = service.record_file(paths)
            stopped[service.NAME] = _stop(record, deadline, service.STOP_SIGNAL, service.NAME, observe)
        removed = _remove(paths.root) if request.volumes else None
    return DownReport(stopped, removed, None if removed else paths.root)


def _stop_detector(request: DownRequest, observe: Observe) -> str:
    """It is asked first, so that the running micro-batch finishes while its services are still there."""
    file = detect.record_file(request.paths)
    record = read_record(file)
    asked = False
    if record is not None and is_alive(record):
        observe(Progress("detector", "begun", "finishing its batch"))
        asked = detect.stop_detached(request.paths, request.settings.spark.stop_grace_seconds)
    # A part of its process group may have outlived the rest.
    rest = _stop(file, Deadline(5.0), None, "detector", observe)
    return "stopped" if asked and rest == "was not running" else rest


def _stop(file: Path, deadline: Deadline, first: Signals | None, name: str, observe: Observe) -> str:
    record = read_record(file)
    if record is None:
        return "was not running"
    if is_alive(record):
        observe(Progress(name, "begun", "stopping"))
    # Something is always left for the process to end by itself, whatever the others have used up.
    how = stop_process(record, max(5.0, deadline.remaining()), first or SIGTERM)
    file.unlink(missing_ok=True)
    if how != "was not running":
        observe(Progress(name, "done", how))
    return how


def _remove(folder: Path) -> Path:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise RefusedError(
            f"{folder} cannot be removed",
            detail=f"{error.filename}: {error.strerror}",
            hint="remove it as the user who owns it",
        ) from error
    return folder
