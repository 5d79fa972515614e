"""Kill the database or the broker with SIGKILL during a run, and start it again as `up` does."""

import signal

from fraudctl.clock import utc_now
from fraudctl.errors import NotReadyError
from fraudctl.operations.drill.harness import CycleReport, Rig
from fraudctl.operations.drill.plan import Cycle
from fraudctl.runtime.local import kafka, postgres
from fraudctl.runtime.process import supervise


def lose_postgres(rig: Rig, cycle: Cycle, _following: Cycle | None) -> CycleReport:
    """Kill the database; the detector must wait for it and continue by itself."""
    return _lose(rig, cycle, postgres.NAME, tolerated=False)


def lose_kafka(rig: Rig, cycle: Cycle, _following: Cycle | None) -> CycleReport:
    """Kill the broker; the detector waits for it, or exits with an error and is started again."""
    return _lose(rig, cycle, kafka.NAME, tolerated=True)


def _lose(rig: Rig, cycle: Cycle, name: str, *, tolerated: bool) -> CycleReport:
    service = postgres if name == postgres.NAME else kafka
    run = rig.detector()
    rig.wait_for_batches(run, cycle.nth)
    rig.let_pass(cycle.delay_seconds, "the moment of the kill")
    record = supervise.read_record(service.record_file(rig.detecting.paths))
    if not supervise.is_alive(record) or record is None:
        raise NotReadyError(f"{name} was not running when it was to be killed")
    since = utc_now()
    supervise.stop(record, grace_seconds=0, first_signal=signal.SIGKILL)
    rig.now(f"starting {name} again", rig.load.progress)
    rig.up()
    outcome, _seconds, promised = rig.goes_on(
        run, lambda landings: landings.since > 0, since=since, tolerated=tolerated
    )
    back = (utc_now() - since).total_seconds()
    return CycleReport(cycle.fault, cycle.where, f"{name} killed, started again: {outcome}", back, promised)
