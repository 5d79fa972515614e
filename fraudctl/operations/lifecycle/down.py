"""`fraudctl down`: stop everything that runs in a stack, and keep its data unless told otherwise."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fraudctl.clock import Deadline
from fraudctl.config.lane import LIVE, REPLAY
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError, UnreachableError
from fraudctl.operations.detect import supervise
from fraudctl.progress import Observe, Progress, silent
from fraudctl.runtime import stack
from fraudctl.runtime.driver import Driver
from fraudctl.runtime.local import kafka, postgres
from fraudctl.runtime.local.driver import stop_recorded
from fraudctl.runtime.process import detector
from fraudctl.runtime.process.supervise import ProcessRecord, is_alive


@dataclass(frozen=True)
class DownRequest:
    """A request to stop a stack.

    `volumes` also removes the stack's folder (data, logs, secrets and state) and its containers' volumes.
    """

    settings: Settings
    paths: StackPaths
    volumes: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DownReport:
    """The result of a stop.

    `stopped` says for each process whether it was stopped, was killed or was not running. `removed` or `kept`
    is the stack's folder.
    """

    stopped: dict[str, str]
    removed: Path | None
    kept: Path | None


def down(request: DownRequest, *, observe: Observe = silent) -> DownReport:
    """Stop the detector, then a replay, then the services; a second call does nothing.

    A process whose record was lost is found by its command line, even when the whole folder is gone.

    Raises:
        NotReadyError: another command was changing the stack all the time, or a process survived KILL.
        RefusedError: a process belongs to another user, or the stack has another profile than requested.
        UnreachableError: the stack has containers, and their engine does not answer.
    """
    settings, paths = request.settings, request.paths
    existed = paths.root.is_dir()
    drivers = _drivers(request, observe)
    containers = any(driver.profile == "docker" for driver in drivers)
    if not containers and not existed and not any(_records(paths)):
        return DownReport(dict.fromkeys(("detector", "kafka", "postgres"), "was not running"), None, None)
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
            _remove(paths.root)  # only the lock of `stack.changing` is in it
    return DownReport(stopped, removed, paths.root if existed and removed is None else None)


def _drivers(request: DownRequest, observe: Observe) -> list[Driver]:
    """Return the drivers to stop: that of the last `up`, or if its state is lost every possible one."""
    settings, paths = request.settings, request.paths
    try:
        state = stack.read_state(paths)
    except RefusedError:
        state = None  # a stack with a damaged state must still be stoppable
    if state is not None:
        chosen = settings.profile
        if chosen in ("local", "docker") and chosen != state.profile:
            raise RefusedError(
                f"stack {paths.stack!r} was brought up under the profile {state.profile}, not {chosen}",
                hint="leave --profile and FRAUDCTL_PROFILE away, or choose another stack with --stack",
            )
        return [stack.driver_of(state.profile, settings, paths, request.environ)]
    if settings.profile == "docker":
        return [stack.container_driver(settings, paths, request.environ)]
    local = stack.driver_of("local", settings, paths, request.environ)
    return [local, *_unrecorded_containers(request, observe)]


def _unrecorded_containers(request: DownRequest, observe: Observe) -> list[Driver]:
    """Return the driver of containers that carry this stack's label; only report those that Compose made."""
    settings, paths = request.settings, request.paths
    try:
        driver = stack.container_driver(settings, paths, request.environ)
        whose = driver.leftovers()
    except (UnreachableError, RefusedError):
        return []
    if whose == "another's":
        text = f"an engine holds containers of the project {driver.project}, which this stack did not start"
        observe(Progress("stack", "note", f"{text}: `fraudctl down --profile docker` stops them as well"))
    return [driver] if whose == "ours" else []


def _records(paths: StackPaths) -> tuple[ProcessRecord | None, ...]:
    lanes = (detector.record(paths, LIVE), detector.record(paths, REPLAY))
    return (*lanes, kafka.record(paths), postgres.record(paths))


def _stop_detector(request: DownRequest, observe: Observe) -> str:
    """Stop the detector while its services still run, so that it can finish its micro-batch."""
    record = detector.record(request.paths, LIVE)
    asked = False
    if record is not None and is_alive(record):
        observe(Progress("detector", "begun", "finishing its batch"))
        asked = supervise.stop_detached(request.paths, request.settings.spark.stop_grace_seconds)
    # A part of its process group may still run.
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
