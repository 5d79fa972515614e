"""Stop everything that runs in a stack; keep its data unless told otherwise."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fraudctl.clock import Deadline
from fraudctl.config.lane import LIVE, REPLAY
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.operations import detect
from fraudctl.runtime import stack
from fraudctl.runtime.local import stop_recorded
from fraudctl.runtime.processes import ProcessRecord, is_alive
from fraudctl.runtime.progress import Observe, Progress, silent
from fraudctl.runtime.services import detector, kafka, postgres
from fraudctl.runtime.stack import Profile


@dataclass(frozen=True)
class DownRequest:
    """`volumes` removes the stack's folder (data, logs, secrets and state) and its containers' volumes."""

    settings: Settings
    paths: StackPaths
    volumes: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DownReport:
    """How each process ended: stopped, killed, or was not running. `kept` is None once it is removed."""

    stopped: dict[str, str]
    removed: Path | None
    kept: Path | None


def down(request: DownRequest, *, observe: Observe = silent) -> DownReport:
    """Stop the detector, then the broker, then the database; twice is once.

    A process whose record was lost is found by its command line, even when all of the folder is gone.

    Raises:
        NotReadyError: another command was changing the stack all the time, or a process outlived KILL.
        RefusedError: a process belongs to another user.
    """
    settings, paths = request.settings, request.paths
    existed = paths.root.is_dir()
    profiles = _profiles(request)
    if "docker" not in profiles and not existed and not any(_records(paths)):
        return DownReport(dict.fromkeys(("detector", "kafka", "postgres"), "was not running"), None, None)
    drivers = [stack.driver_of(profile, settings, paths, request.environ) for profile in profiles]
    deadline = Deadline(settings.timeouts.down_seconds)
    with stack.changing(paths, deadline):
        stopped = {"detector": _stop_detector(request, observe)}
        record = detector.record(paths, REPLAY)
        replay = stop_recorded(record, REPLAY.record(paths), deadline, None, "replay", observe)
        if replay != "was not running":
            stopped["replay"] = replay
        for driver in drivers:
            stopped |= driver.stop(deadline, observe, volumes=request.volumes)
        removed = _remove(paths.root) if request.volumes and existed else None
        if not existed:
            _remove(paths.root)  # nothing but the lock that was held just now
    return DownReport(stopped, removed, paths.root if existed and removed is None else None)


def _profiles(request: DownRequest) -> list[Profile]:
    """What is to be stopped: the chosen profile's services, and those of the last `up` if they are others."""
    settings, paths = request.settings, request.paths
    try:
        state = stack.read_state(paths)
        chosen = stack.choose_profile(settings, paths)[0]
    except RefusedError:
        # Whoever mends a damaged state must be able to stop everything first.
        state, chosen = None, "docker" if settings.profile == "docker" else "local"
    # A stack with external services has none of its own, unless some are left from before.
    first: Profile = "local" if chosen == "external" else chosen
    return list(dict.fromkeys([first, *([state.profile] if state is not None else [])]))


def _records(paths: StackPaths) -> tuple[ProcessRecord | None, ...]:
    lanes = (detector.record(paths, LIVE), detector.record(paths, REPLAY))
    return (*lanes, kafka.record(paths), postgres.record(paths))


def _stop_detector(request: DownRequest, observe: Observe) -> str:
    """It is asked first, so that the running micro-batch finishes while its services are still there."""
    record = detector.record(request.paths, LIVE)
    asked = False
    if record is not None and is_alive(record):
        observe(Progress("detector", "begun", "finishing its batch"))
        asked = detect.stop_detached(request.paths, request.settings.spark.stop_grace_seconds)
    # A part of its process group may have outlived the rest.
    file = LIVE.record(request.paths)
    rest = stop_recorded(record, file, Deadline(5.0), None, "detector", observe)
    return "stopped" if asked and rest == "was not running" else rest


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
