"""Inject faults under load into a stack on the user's own machine, and recount the log at the end."""

import secrets
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fraudctl.clock import StopFlag
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.database.landings import LandingsReader
from fraudctl.errors import FraudctlError, RefusedError, UsageError
from fraudctl.operations.detect.supervise import DetectRequest, record_file
from fraudctl.operations.drill.harness import CycleReport, Rig
from fraudctl.operations.drill.kills import kill
from fraudctl.operations.drill.load import Load
from fraudctl.operations.drill.outages import lose_kafka, lose_postgres
from fraudctl.operations.drill.pauses import pause
from fraudctl.operations.drill.plan import Cycle, Fault, draw
from fraudctl.operations.lifecycle.down import DownRequest, down
from fraudctl.operations.lifecycle.up import UpRequest, up
from fraudctl.operations.produce.steady import HIGHEST_RATE, HIGHEST_SEED, Produced, ProduceRequest
from fraudctl.operations.produce.steady import Progress as Traffic
from fraudctl.operations.verify.verify import Verification, VerifyRequest, verify
from fraudctl.progress import Observe, Progress
from fraudctl.recount.recount import COUNTED, DUPLICATE
from fraudctl.runtime import stack
from fraudctl.runtime.files import make_folder
from fraudctl.runtime.process import supervise

# At lower rates the drill would wait long for a batch with records.
LOWEST_RATE = 1.0
Strike = Callable[[Rig, Cycle, Cycle | None], CycleReport]
_STRIKES: dict[Fault, Strike] = {
    "kill": kill,
    "pause": pause,
    "postgres": lose_postgres,
    "kafka": lose_kafka,
}


@dataclass(frozen=True)
class DrillRequest:
    """A request for a drill.

    `seed`: None draws one. `at`: the failpoints of kills and pauses; empty for all, and for kills also
    start-up and random moments. `keep` leaves the stack running, with its data.
    """

    settings: Settings
    paths: StackPaths
    rules_document: dict[str, object]
    environ: Mapping[str, str]
    cycles: int
    faults: tuple[Fault, ...]
    at: tuple[str, ...] = ()
    rate: float = 300.0
    seed: int | None = None
    keep: bool = False


@dataclass(frozen=True)
class DrillResult:
    """The result of a drill; `kept` is the stack's folder, None once it has been removed.

    `verdict` is exact only if every row agrees with the recount, every event that was sent has been
    acknowledged, read and accounted for, and every cycle ended as promised.
    """

    seed: int
    cycles: tuple[CycleReport, ...]
    cycles_planned: int
    back_p95_seconds: float | None
    sent: int
    acknowledged: int
    events_read: int
    counted: int
    duplicate: int
    rejected: int
    rows_compared: int
    differences: int
    verdict: Literal["exact", "differences", "broken promise"]
    verification: Verification
    kept: Path | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Return whether the verdict is exact."""
        return self.verdict == "exact"


@dataclass
class Views:
    """Callbacks for the drill's progress: steps of the stack, the plan, current activity, finished cycles."""

    step: Observe
    planned: Callable[[int, tuple[Cycle, ...]], None] = lambda _seed, _plan: None
    now: Callable[[str, Traffic | None], None] = lambda _what, _traffic: None
    cycle: Callable[[CycleReport], None] = lambda _report: None


def refuse_nonsense(request: DrillRequest) -> None:
    """Validate a request; this needs no running stack.

    Raises:
        UsageError: cycles, rate or seed are out of range.
        RefusedError: the profile's services do not belong to the drill alone.
    """
    if request.cycles < 1:
        raise UsageError(
            f"a drill needs at least 1 cycle, not {request.cycles}",
            hint="for example `fraudctl drill --cycles 5`",
        )
    if not LOWEST_RATE <= request.rate <= HIGHEST_RATE:
        raise UsageError(
            f"the rate must be from {LOWEST_RATE:g} to {HIGHEST_RATE:,.0f} events per second, "
            f"not {request.rate:g}",
            hint="for example `fraudctl drill --rate 300`",
        )
    if request.seed is not None and not 0 <= request.seed <= HIGHEST_SEED:
        raise UsageError(
            f"the seed must be from 0 to {HIGHEST_SEED}, not {request.seed}",
            hint="leave --seed away, and one is drawn and printed",
        )
    if request.settings.profile in ("docker", "external"):
        raise RefusedError(
            f"a drill kills its services, and will not do so under the profile {request.settings.profile}",
            detail="it starts a broker and a database of its own, as child processes, and kills only those",
            hint="use `--profile local`",
        )


def drill(request: DrillRequest, *, stop: StopFlag, views: Views) -> DrillResult:
    """Run the cycles, verify, and remove the stack; after a failure, stop it and keep its data.

    A `stop` ends the drill after the present cycle; the finished cycles are verified.

    Raises:
        FraudctlError: a step failed; the detail says where the stack is and how to repeat the drill.
    """
    refuse_nonsense(request)
    # Not `auto`: a drill may kill only services that it has started itself.
    settings = request.settings.model_copy(update={"profile": "local"})
    request = replace(
        request,
        settings=settings,
        seed=secrets.randbits(32) if request.seed is None else request.seed,
    )
    _claim(request.paths)
    try:
        result = _run(request, stop, views)
    except FraudctlError as error:
        # Without logs no service was started, so there is nothing to look at.
        _put_away(request, views, remove=not request.paths.logs.is_dir())
        if request.paths.root.is_dir():
            error.detail = "\n".join(filter(None, (error.detail, remains(request.paths, _seed(request)))))
        raise
    except BaseException as ending:
        # An interrupted drill leaves nothing behind; a bug in this program leaves everything.
        _put_away(request, views, remove=isinstance(ending, KeyboardInterrupt | SystemExit))
        raise
    if not request.keep:
        _put_away(request, views, remove=result.passed)
    return result


def remains(paths: StackPaths, seed: int) -> str:
    """Return a sentence that says where a failed drill's stack is, and how to repeat the drill."""
    return f"the stack is kept in {paths.root}; repeat the drill with --seed {seed}"


def _seed(request: DrillRequest) -> int:
    assert request.seed is not None, "drawn before anything starts"
    return request.seed


def _claim(paths: StackPaths) -> None:
    """Create the stack's folder; a drill never uses an existing stack, as it removes its stack at the end.

    Raises:
        RefusedError: the stack exists already.
    """
    make_folder(paths.root.parent)
    try:
        paths.root.mkdir()
        paths.root.chmod(0o755)
    except FileExistsError as error:
        option = "" if paths.stack == "default" else f" --stack {paths.stack}"
        raise RefusedError(
            f"a drill needs a stack of its own, and stack {paths.stack!r} is there already",
            detail=f"in {paths.root}; perhaps an earlier drill was kept",
            hint=f"remove it with `fraudctl down{option} --volumes`, or name another one with --stack",
        ) from error


def _run(request: DrillRequest, stop: StopFlag, views: Views) -> DrillResult:
    began = time.monotonic()
    settings, paths, seed = request.settings, request.paths, _seed(request)
    plan = draw(seed, request.cycles, request.faults, request.at)
    views.planned(seed, plan)
    up(UpRequest(settings, paths, request.environ, any_port=True), stop=stop, observe=views.step)
    endpoints = stack.endpoints(settings, paths)
    load = Load(ProduceRequest(settings, endpoints.bootstrap_servers, request.rate, seed=seed))
    detecting = DetectRequest(settings, paths, request.rules_document, request.environ, until_caught_up=True)
    with LandingsReader(endpoints.postgres, connect_seconds=settings.timeouts.connect_seconds) as landed:
        rig = Rig(detecting, endpoints, load, landed, stop, views.step, views.now)
        try:
            load.start()
            reports = _cycles(rig, plan, stop, views)
            produced = _catch_up(rig)
        finally:
            rig.abandon()
    views.now("recounting the log independently", load.progress)
    verification = verify(VerifyRequest(endpoints, settings, make_folder(paths.run / "recount")))
    return _result(request, reports, produced, verification, time.monotonic() - began)


def _cycles(rig: Rig, plan: tuple[Cycle, ...], stop: StopFlag, views: Views) -> list[CycleReport]:
    reports: list[CycleReport] = []
    for cycle, following in zip(plan, (*plan[1:], None), strict=True):
        if stop.is_set:
            break
        report = _STRIKES[cycle.fault](rig, cycle, following)
        reports.append(report)
        views.cycle(report)
    return reports


def _catch_up(rig: Rig) -> Produced:
    """End the load, and wait until the detector has processed every event that was sent."""
    run = rig.detector()
    rig.now("settling every delivery", rig.load.progress)
    produced = rig.load.finish()
    rig.wait("the detector to catch up", lambda: run.ended)
    if run.failure is not None:
        raise run.failure
    return produced


def _result(
    request: DrillRequest,
    reports: list[CycleReport],
    produced: Produced,
    verification: Verification,
    seconds: float,
) -> DrillResult:
    fates = dict(verification.fates)
    counted, duplicate = fates.pop(COUNTED, 0), fates.pop(DUPLICATE, 0)
    complete = produced.sent == produced.acknowledged == verification.events_read
    exact = verification.verdict == "ok" and complete
    kept_promises = all(report.as_promised for report in reports)
    passed = exact and kept_promises
    return DrillResult(
        seed=_seed(request),
        cycles=tuple(reports),
        cycles_planned=request.cycles,
        back_p95_seconds=_p95([report.back_seconds for report in reports]),
        sent=produced.sent,
        acknowledged=produced.acknowledged,
        events_read=verification.events_read,
        counted=counted,
        duplicate=duplicate,
        rejected=sum(fates.values()),
        rows_compared=verification.rows_compared,
        differences=verification.differences,
        verdict="exact" if passed else "differences" if not exact else "broken promise",
        verification=verification,
        kept=request.paths.root if request.keep or not passed else None,
        seconds=round(seconds, 1),
    )


def _p95(seconds: list[float]) -> float | None:
    if len(seconds) < 2:
        return seconds[0] if seconds else None
    return round(statistics.quantiles(seconds, n=20, method="inclusive")[-1], 1)


def _put_away(request: DrillRequest, views: Views, *, remove: bool) -> None:
    """Take the stack down; the detector is killed first, as it may be halted or busy."""
    views.step(Progress("drill", "begun", "taking the stack down"))
    record = supervise.read_record(record_file(request.paths))
    if record is not None:
        supervise.stop(record, grace_seconds=0)
    down(DownRequest(request.settings, request.paths, volumes=remove), observe=views.step)
