"""Supervision of the detector: start it, follow its batches, stop it cleanly, report its outcome."""

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fraudctl.broker import topics
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.lane import LIVE, Lane
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import (
    DataError,
    ExitCode,
    FencedError,
    FraudctlError,
    NotReadyError,
    RefusedError,
    UnreachableError,
)
from fraudctl.operations import preflight
from fraudctl.operations.detect.archive_classes import Archiver
from fraudctl.operations.detect.claim_lease import claim_lease
from fraudctl.operations.detect.plan import DetectorPlan, plan_detector, previous_outcome, write_job
from fraudctl.operations.detect.promote_checkpoint import settle_checkpoint
from fraudctl.operations.detect.wait_for_stack import wait_for_stack
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.files import locked, make_folder, tail
from fraudctl.runtime.first_cause import first_cause, is_of_java_options, lines_since
from fraudctl.runtime.process import detector, supervise

_POLL_SECONDS = 0.2
_LOOK_SECONDS = 0.5
# The longest time that Spark takes to start; it looks for a stop request only after that.
_START_SECONDS = 120.0
# How long a detector whose query has not started may take to release its lease and to end.
_TERM_SECONDS = 10.0
# How long a fenced detector may take to notice and to end by itself.
_FENCED_SECONDS = 10.0
_ARCHIVER_NICE = 10
_ERRORS: dict[int, type[FraudctlError]] = {
    int(kind.exit_code): kind
    for kind in (RefusedError, UnreachableError, NotReadyError, DataError, FencedError)
}


class DetectorKilledError(UnreachableError):
    """Error for a detector that left no outcome: it was killed, or ended before it could write one."""


@dataclass(frozen=True)
class DetectRequest:
    """A request to run the detector.

    `run_seconds` limits the run's time; `until_caught_up` ends it when the whole topic is processed.
    """

    settings: Settings
    paths: StackPaths
    rules_document: dict[str, Any]
    environ: Mapping[str, str]
    run_seconds: float | None = None
    until_caught_up: bool = False
    lane: Lane = LIVE
    takeover: bool = False  # fence the holder of the lease, instead of being refused


@dataclass(frozen=True)
class Batch:
    """A micro-batch that has been committed to PostgreSQL.

    `fates` counts the records read by outcome: admitted, or the reason for their rejection.
    `held_back_seconds` is how much longer than usual the watermark's delay is, because partitions are far
    apart. `behind` is the number of records that the topic held beyond this batch when it was planned.
    """

    batch_id: int
    replayed: bool
    windows: int
    alerts: int
    flags: int  # by rules on a card's past, written or replaced
    rule_set: str | None
    fates: dict[str, int]
    duplicates: int
    dropped_by_watermark: int
    trigger_ms: int
    watermark_ms: int
    held_back_seconds: int
    state_rows: int
    behind: int
    end_offsets: dict[str, int]

    @property
    def read(self) -> int:
        """Return the number of records read."""
        return sum(self.fates.values())


@dataclass(frozen=True)
class Detected:
    """The result of one run.

    `trigger_ms` has the durations in milliseconds of the batches that read records: the first one, and p50,
    p99, maximum and number of the others. `dropped_by_watermark` counts rows that Spark dropped as late; late
    copies of counted events are among them.
    """

    batches: int
    idle_batches: int  # the part of `batches` that read no record and only moved the watermark
    records: int
    fates: dict[str, int]
    duplicates: int
    dropped_by_watermark: int
    windows_written: int
    alerts: int
    rule_sets: tuple[str, ...]  # digests of the rules that were applied, in order of their first use
    trigger_ms: dict[str, float]
    query_id: str
    epoch: int
    log: Path


@dataclass
class _Seen:
    """The detector's progress so far: the line that it wrote at its start, and its batches."""

    started: dict[str, Any] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)


def detect(
    request: DetectRequest,
    *,
    stop: StopFlag,
    observe: Observe,
    on_batch: Callable[[Batch], None],
    complete: Callable[[], bool] = lambda: True,
) -> Detected:
    """Run the detector until its time is over, it has caught up, `stop` is set, or it fails.

    A stop before the query has started ends the process at once: there is no batch to finish. If anything
    else ends this function early (a second Ctrl-C), the process is killed.

    Args:
        request: the run's settings and limits.
        stop: ends the run after the present batch.
        observe: is told of the steps.
        on_batch: is called with each committed batch.
        complete: with `until_caught_up`, returns whether the log is complete: no more records are produced.

    Raises:
        FraudctlError: the detector failed; the class belongs to its exit code.
    """
    plan, record = _begin(request, stop=stop, observe=observe)
    seen = _Seen()
    archiver = Archiver(plan.place.archive, request.paths.logs / "classes.log", observe)

    def take(batch: Batch) -> None:
        on_batch(batch)
        archiver.look_at(record.pid)
        if batch.batch_id > seen.batches[0].batch_id:
            archiver.begin(_ARCHIVER_NICE)

    try:
        begun = _follow(request, plan, record, seen, stop, take, complete)
        supervise.stop(record, grace_seconds=5)
        if begun:
            _raise_outcome(plan, record)
        if seen.batches:
            archiver.begin()
            archiver.wait(stop)
    except BaseException:
        supervise.stop(record, grace_seconds=0)
        raise
    finally:
        archiver.end()
    return _summary(seen, record.log_file)


def _follow(
    request: DetectRequest,
    plan: DetectorPlan,
    record: supervise.ProcessRecord,
    seen: _Seen,
    stop: StopFlag,
    on_batch: Callable[[Batch], None],
    complete: Callable[[], bool],
) -> bool:
    """Follow the detector until it has ended; return False if it was stopped before its query started."""
    lines = _progress_lines(plan.job.progress_file)
    ending: Deadline | None = None
    next_look = Deadline(0)
    while True:
        alive = supervise.is_alive(record)
        for line in lines():
            _take(line, seen, on_batch)
        if not alive:
            return True
        if stop.is_set and not seen.started and ending is None:
            return supervise.stop(record, _TERM_SECONDS) == "was not running"
        caught_up = False
        if request.until_caught_up and seen.started and next_look.expired:
            caught_up = complete() and _caught_up(plan, seen)
            next_look = Deadline(_LOOK_SECONDS)
        if ending is None and (stop.is_set or caught_up):
            plan.job.stop_file.touch()
            ending = Deadline(request.settings.spark.stop_grace_seconds + _START_SECONDS)
        if ending is not None and ending.expired:
            supervise.stop(record, grace_seconds=5)
        time.sleep(_POLL_SECONDS)


def detach(request: DetectRequest, *, stop: StopFlag, observe: Observe) -> Detected:
    """Start the detector, and leave it running once its query has started.

    Raises:
        FraudctlError: the detector ended before its query had started.
    """
    plan, record = _begin(request, stop=stop, observe=observe)
    lines = _progress_lines(plan.job.progress_file)
    seen = _Seen()
    deadline = Deadline(_START_SECONDS)
    while not seen.started:
        alive = supervise.is_alive(record)
        for line in lines():
            _take(line, seen, lambda _batch: None)
        if not alive or deadline.expired or stop.is_set:
            supervise.stop(record, grace_seconds=5)
            if stop.is_set:
                raise KeyboardInterrupt("the detector was stopped before its query had started")
            _raise_outcome(plan, record)
            raise UnreachableError(
                "the detector did not start", detail="\n".join(tail(record.log_file, 5)), hint="try again"
            )
        time.sleep(_POLL_SECONDS)
    return _summary(seen, record.log_file)


def stop_detached(paths: StackPaths, grace_seconds: float) -> bool:
    """Stop a running detector after its present batch; return False if none was running."""
    record = detector.record(paths, LIVE)
    if record is None or not supervise.is_alive(record):
        return False
    file = LIVE.file(paths, "stop")
    make_folder(file.parent)
    file.touch()
    deadline = Deadline(grace_seconds)
    while supervise.is_alive(record) and not deadline.expired:
        time.sleep(_POLL_SECONDS)
    supervise.stop(record, grace_seconds=5)
    return True


def prepare(request: DetectRequest, *, stop: StopFlag, observe: Observe) -> DetectorPlan:
    """Wait for a stack that is coming up, and plan the run; `detect --dry-run` does no more.

    Raises:
        RefusedError: a detector of this stack runs already, or `plan_detector` refuses the run.
    """
    _check_machine(request)
    _refuse_second(request)
    return _plan(request, _endpoints(request, stop, observe), observe, settled=True)


def _begin(
    request: DetectRequest, *, stop: StopFlag, observe: Observe
) -> tuple[DetectorPlan, supervise.ProcessRecord]:
    """Check the lease, plan the run and start it; of two concurrent starts the second is refused."""
    _check_machine(request)
    endpoints = _endpoints(request, stop, observe)
    purpose = f"starting the detector of stack {request.paths.stack!r}"
    with locked(request.lane.file(request.paths, "lock"), Deadline(600), purpose=purpose, stop=stop):
        if request.takeover:
            # A run that would be refused anyway must be refused while the present detector still runs.
            _plan(request, endpoints, observe, settled=False)
        else:
            _refuse_second(request)
        claim_lease(
            endpoints.postgres,
            takeover=request.takeover,
            connect_seconds=request.settings.timeouts.connect_seconds,
            observe=observe,
        )
        _outlive(detector.record(request.paths, request.lane))
        settle_checkpoint(
            request.paths,
            endpoints.postgres,
            connect_seconds=request.settings.timeouts.connect_seconds,
            observe=observe,
        )
        plan = _plan(request, endpoints, observe, settled=True)
        record = _start(plan, request)
        observe(Progress("detector", "note", f"Spark starts; its log is {record.log_file}"))
        return plan, record


def _check_machine(request: DetectRequest) -> None:
    checks = preflight.for_detector(request.settings, request.paths, request.environ)
    preflight.run_all(checks)


def _refuse_second(request: DetectRequest) -> None:
    record = detector.record(request.paths, request.lane)
    if record is not None and supervise.is_alive(record):
        raise RefusedError(
            f"a detector of stack {request.paths.stack!r} runs already, as process {record.pid}",
            hint="watch it with `fraudctl logs detector -f`, stop it with `fraudctl detect --stop`, "
            "or fence it off with `fraudctl detect --takeover`",
        )


def _outlive(record: supervise.ProcessRecord | None) -> None:
    """Wait until a fenced detector has ended, or kill it: two Sparks must not share a checkpoint."""
    deadline = Deadline(_FENCED_SECONDS)
    while supervise.is_alive(record) and not deadline.expired:
        time.sleep(_POLL_SECONDS)
    if record is not None:
        supervise.stop(record, grace_seconds=0)


def _endpoints(request: DetectRequest, stop: StopFlag, observe: Observe) -> Endpoints:
    found = wait_for_stack(request.settings, request.paths, stop=stop, observe=observe)
    return replace(found, postgres=replace(found.postgres, schema=request.lane.schema))


def _plan(request: DetectRequest, endpoints: Endpoints, observe: Observe, *, settled: bool) -> DetectorPlan:
    return plan_detector(
        request.settings,
        request.paths,
        endpoints,
        request.rules_document,
        environ=request.environ,
        run_seconds=request.run_seconds,
        lane=request.lane,
        settled=settled,
        deadline=Deadline(600),
        observe=observe,
    )


def record_file(paths: StackPaths) -> Path:
    """Return the file with the running detector's process record."""
    return LIVE.record(paths)


def _start(plan: DetectorPlan, request: DetectRequest) -> supervise.ProcessRecord:
    write_job(plan)
    return supervise.spawn(
        request.lane.name,
        plan.place.argv,
        env=plan.place.environment,
        log=request.lane.log(request.paths),
        record=request.lane.record(request.paths),
        cwd=request.paths.run,
    )


def _progress_lines(file: Path) -> Callable[[], Iterator[dict[str, Any]]]:
    """Return a function that yields the whole lines written since its last call."""
    position = 0

    def read() -> Iterator[dict[str, Any]]:
        nonlocal position
        if not file.exists():
            return
        with file.open("rb") as stream:
            stream.seek(position)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                position += len(line)
                yield json.loads(line)

    return read


def _take(line: dict[str, Any], seen: _Seen, on_batch: Callable[[Batch], None]) -> None:
    if "query_id" in line:
        seen.started = line
        return
    batch = Batch(**{name: line[name] for name in Batch.__dataclass_fields__})
    seen.batches.append(batch)
    on_batch(batch)


def _caught_up(plan: DetectorPlan, seen: _Seen) -> bool:
    """Return whether the newest committed batch, of this run or an earlier one, ends where the topic ends.

    False if the broker does not answer: it is the detector that decides whether to fail then.
    """
    ends = plan.job.ending_offsets
    if ends is None:
        try:
            held = topics.end_offsets(
                plan.bootstrap_servers, plan.job.topic, timeout_seconds=plan.job.connect_seconds
            )
        except UnreachableError:
            return False
        ends = {partition: high for partition, (_low, high) in held.items()}
    landed = plan.landed_ends
    if seen.batches:
        landed = {int(partition): end for partition, end in seen.batches[-1].end_offsets.items()}
    return all(landed.get(partition, 0) >= end for partition, end in ends.items())


def _raise_outcome(plan: DetectorPlan, record: supervise.ProcessRecord) -> None:
    log = record.log_file
    for file in (plan.job.outcome_file, previous_outcome(plan.job)):
        outcome = _outcome(file)
        if outcome.get("process") == record.pid:
            break
    else:
        lines = lines_since(log, record.log_begin)
        cause = first_cause(lines)
        raise DetectorKilledError(
            f"the detector {supervise.ending(record)} before it could say why"
            + (f": {cause}" if cause else ""),
            detail="\n".join(lines[-5:]),
            hint=f"{_remedy(cause)}; the whole log is {log}",
        )
    if outcome["exit_code"] != ExitCode.DONE:
        kind = _ERRORS.get(outcome["exit_code"], FraudctlError)
        raise kind(outcome["message"], detail=outcome["detail"], hint=outcome["hint"] or f"see {log}")


def _remedy(cause: str) -> str:
    """Return what to do about a detector that ended without a word."""
    if is_of_java_options(cause):
        return "correct spark.java_options or spark.driver_memory, and run `fraudctl detect` again"
    return "nothing is lost, run `fraudctl detect` again"


def _outcome(file: Path) -> dict[str, Any]:
    """Return the outcome that a detector wrote; empty if it was killed before or while it wrote."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return dict(found)


def _summary(seen: _Seen, log: Path) -> Detected:
    fates: Counter[str] = Counter()
    for batch in seen.batches:
        fates.update(batch.fates)
    times = [float(batch.trigger_ms) for batch in seen.batches if batch.read]
    # The first batch of a run includes class loading and code generation, so it is reported separately.
    steady = times[1:] or times
    quantiles = statistics.quantiles(steady, n=100, method="inclusive") if len(steady) > 1 else steady * 99
    return Detected(
        batches=len(seen.batches),
        idle_batches=sum(not batch.read for batch in seen.batches),
        records=sum(fates.values()),
        fates=dict(sorted(fates.items())),
        duplicates=sum(batch.duplicates for batch in seen.batches),
        dropped_by_watermark=sum(batch.dropped_by_watermark for batch in seen.batches),
        windows_written=sum(batch.windows for batch in seen.batches),
        alerts=sum(batch.alerts for batch in seen.batches),
        rule_sets=tuple(dict.fromkeys(batch.rule_set for batch in seen.batches if batch.rule_set)),
        trigger_ms=(
            {
                "first": times[0],
                "p50": round(quantiles[49], 1),
                "p99": round(quantiles[98], 1),
                "max": max(steady),
                "batches": len(steady),
            }
            if times
            else {}
        ),
        query_id=str(seen.started.get("query_id", "")),
        epoch=int(seen.started.get("epoch", -1)),
        log=log,
    )
