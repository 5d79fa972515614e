"""Kill the detector's process group with SIGKILL: at a failpoint, at a random moment or during its start."""

from fraudctl.failpoints import FAILPOINTS
from fraudctl.operations.drill.detector_run import DetectorRun
from fraudctl.operations.drill.harness import CycleReport, Rig
from fraudctl.operations.drill.plan import START_UP, Cycle


def kill(rig: Rig, cycle: Cycle, following: Cycle | None) -> CycleReport:
    """Kill the detector, start it again, and wait until it has committed a batch."""
    if cycle.place in FAILPOINTS:
        run = rig.detector(cycle.armed)
        rig.wait(f"the detector to die at {cycle.place}", lambda: run.ended)
    else:
        run = _at_a_moment(rig, cycle)
    back, again = rig.start_again(run, following)
    outcome = "killed, started again"
    if again:
        outcome += "; a batch that was durable ran again and changed nothing"
    return CycleReport(cycle.fault, cycle.where, outcome, back)


def _at_a_moment(rig: Rig, cycle: Cycle) -> DetectorRun:
    if cycle.place == START_UP:
        rig.end_detector()
        run = rig.start_detector()
        rig.wait("the detector's process", lambda: run.record is not None or run.ended)
    else:
        run = rig.detector()
        rig.wait_for_batches(run, cycle.nth)
    rig.let_pass(cycle.delay_seconds, "the moment of the kill")
    run.kill()
    rig.wait("the detector's end", lambda: run.ended)
    return run
