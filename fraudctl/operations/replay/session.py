"""What every kind of replay shares: its request, its own lane, and keeping out of each other's way."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.lane import LIVE, REDO, REPLAY, Lane
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.operations.detect.promote_checkpoint import settle_checkpoint
from fraudctl.operations.detect.supervise import Batch, Detected, DetectRequest, detect
from fraudctl.progress import Observe
from fraudctl.runtime.files import locked
from fraudctl.runtime.process import detector, supervise


@dataclass(frozen=True)
class ReplayRequest:
    """`settings` and `rules_document` are those of the replay."""

    settings: Settings
    paths: StackPaths
    endpoints: Endpoints
    rules_document: dict[str, Any]
    environ: Mapping[str, str]

    @property
    def connect_seconds(self) -> float:
        return self.settings.timeouts.connect_seconds


@dataclass
class Views:
    """Where a replay reports to while it works."""

    step: Observe
    batch: Callable[[Batch], None] = lambda _batch: None


@contextmanager
def alone(request: ReplayRequest, views: Views) -> Iterator[bool]:
    """Keep every other replay of the stack out, and mend what a killed one may have left.

    Its process is ended; a rebuild whose rows are in place gets its checkpoint in place, too: then True.

    Raises:
        NotReadyError: another replay is at work.
        UnreachableError, ConfigError: there is no connection to be had.
    """
    paths = request.paths
    with locked(paths.run / "replaying.lock", Deadline(0), purpose="replaying"):
        orphan = detector.record(paths, REPLAY)
        if orphan is not None:
            supervise.stop(orphan, grace_seconds=5)
        yield settle(request, views)


def refuse_running(paths: StackPaths, why: str) -> None:
    """
    Raises:
        RefusedError: the stack's own detector runs.
    """
    record = detector.record(paths, LIVE)
    if record is not None and supervise.is_alive(record):
        raise RefusedError(
            f"the detector of stack {paths.stack!r} runs, as process {record.pid}: {why}",
            hint="stop it with `fraudctl detect --stop`, or Ctrl-C where it runs",
        )


def clear(paths: StackPaths) -> None:
    """Remove the checkpoints of replays; a rebuild that was put in place has moved its own away."""
    for lane in (REPLAY, REDO):
        shutil.rmtree(lane.checkpoint(paths), ignore_errors=True)


def settle(request: ReplayRequest, views: Views) -> bool:
    """Put a rebuild's checkpoint in place if its rows are; True if there was something to do.

    Raises:
        UnreachableError, ConfigError: there is no connection to be had.
    """
    return settle_checkpoint(
        request.paths,
        request.endpoints.postgres,
        connect_seconds=request.connect_seconds,
        observe=views.step,
    )


def run(request: ReplayRequest, lane: Lane, *, stop: StopFlag, views: Views) -> Detected:
    """Run the detector in `lane`, back to back, until it has reached the end of what it is to read.

    Raises:
        FraudctlError: as `detect` does.
        KeyboardInterrupt: a stop was asked for, so the end was not reached.
    """
    spark = request.settings.spark.model_copy(update={"trigger_seconds": 0.0})
    detected = detect(
        DetectRequest(
            request.settings.model_copy(update={"spark": spark}),
            request.paths,
            request.rules_document,
            request.environ,
            until_caught_up=lane.redo_batches == 0,
            lane=lane,
        ),
        stop=stop,
        observe=views.step,
        on_batch=views.batch,
    )
    if stop.is_set:
        raise KeyboardInterrupt
    return detected
