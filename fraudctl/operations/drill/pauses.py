"""Halt a detector inside a batch and wake it: it continues, or finds that it has lost its lease."""

import os
import socket

from fraudctl.clock import utc_now
from fraudctl.database import lease
from fraudctl.database.dump import content_hash
from fraudctl.errors import FencedError, NotReadyError
from fraudctl.operations.drill.detector_run import DetectorRun
from fraudctl.operations.drill.harness import CycleReport, Rig
from fraudctl.operations.drill.plan import Cycle

# A fenced detector ends within 10 s; a slow machine may take its time to show it.
_FENCED_SECONDS = 60.0


def pause(rig: Rig, cycle: Cycle, following: Cycle | None) -> CycleReport:
    """Halt the detector and wake it, either with its lease or after the lease was taken from it."""
    run = rig.detector(cycle.armed)
    rig.wait(f"the detector to stand still at {cycle.place}", lambda: run.halted or run.ended)
    if run.ended:
        raise run.failure or NotReadyError(f"the detector ended before it came to {cycle.place}")
    return _succeeded(rig, cycle, following, run) if cycle.succeeded else _woken(rig, cycle, run)


def _woken(rig: Rig, cycle: Cycle, run: DetectorRun) -> CycleReport:
    before = rig.landings().total
    rig.let_pass(cycle.delay_seconds, "the halted detector's time to pass")
    run.wake()
    outcome, back, promised = rig.goes_on(
        run, lambda landings: landings.total > before, since=utc_now(), tolerated=False
    )
    return CycleReport(cycle.fault, cycle.where, f"halted, woken: {outcome}", back, promised)


def _succeeded(rig: Rig, cycle: Cycle, following: Cycle | None, run: DetectorRun) -> CycleReport:
    postgres, connect_seconds = rig.endpoints.postgres, rig.connect_seconds
    seen = lease.look(postgres, connect_seconds=connect_seconds)
    by = f"{socket.gethostname()} pid {os.getpid()}, drilling"
    if not lease.evict(postgres, seen, by=by, connect_seconds=connect_seconds):
        raise NotReadyError("somebody else has taken the lease during the drill", detail=seen.described())
    before = content_hash(postgres, connect_seconds=connect_seconds), rig.landings().total
    run.wake()
    rig.wait("the fenced detector's end", lambda: run.ended, _FENCED_SECONDS)
    after = content_hash(postgres, connect_seconds=connect_seconds), rig.landings().total
    fenced = isinstance(run.failure, FencedError)
    outcome = "succeeded while halted; woken, it " + (
        "ended as fenced (exit 7)" if fenced else f"ended with {run.failure.exit_code if run.failure else 0}"
    )
    outcome += " and changed nothing" if before == after else " AND CHANGED ROWS"
    back, _again = rig.start_after(following)
    return CycleReport(cycle.fault, cycle.where, outcome, back, fenced and before == after)
