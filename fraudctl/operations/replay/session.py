"""Parts that every kind of replay shares: its request, its run target and its lock."""

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
    """A request for a replay, with the settings and the rules document that it uses."""

    settings: Settings
    paths: StackPaths
    endpoints: Endpoints
    rules_document: dict[str, Any]
    environ: Mapping[str, str]

    @property
    def connect_seconds(self) -> float:
        """Return the timeout for connecting to a service, in seconds."""
        return self.settings.timeouts.connect_seconds


@dataclass
class Views:
    """Callbacks that a replay reports its progress to."""

    step: Observe
    batch: Callable[[Batch], None] = lambda _batch: None


@contextmanager
def alone(request: ReplayRequest, views: Views) -> Iterator[bool]:
    """Keep every other replay of the stack out, and clean up after one that was killed.

    The process of a killed replay is ended. If a rebuild has replaced the live rows but not the checkpoint,
    its checkpoint is promoted.

    Yields:
        Whether a checkpoint was promoted.

    Raises:
        NotReadyError: another replay is running.
        UnreachableError, ConfigError: the database cannot be connected to.
    """
    paths = request.paths
    with locked(paths.run / "replaying.lock", Deadline(0), purpose="replaying"):
        orphan = detector.record(paths, REPLAY)
        if orphan is not None:
            supervise.stop(orphan, grace_seconds=5)
        yield settle(request, views)


def refuse_running(paths: StackPaths, why: str) -> None:
    """Raise an error if the stack's own detector runs.

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
    """Remove the checkpoints of replays; a promoted rebuild has moved its own away already."""
    for lane in (REPLAY, REDO):
        shutil.rmtree(lane.checkpoint(paths), ignore_errors=True)


def settle(request: ReplayRequest, views: Views) -> bool:
    """Promote a rebuild's checkpoint if its rows are live already; return whether there was anything to do.

    Raises:
        UnreachableError, ConfigError: the database cannot be connected to.
    """
    return settle_checkpoint(
        request.paths,
        request.endpoints.postgres,
        connect_seconds=request.connect_seconds,
        observe=views.step,
    )


def run(request: ReplayRequest, lane: Lane, *, stop: StopFlag, views: Views) -> Detected:
    """Run the detector for the run target `lane`, without pauses between batches, to the end of its offsets.

    Raises:
        FraudctlError: for the same reasons as `detect`.
        KeyboardInterrupt: a stop was requested, so the end was not reached.
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
