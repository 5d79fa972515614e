"""The test harness of a drill: a stack, load on it, detector runs, and a reader of committed batches."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from fraudctl.clock import Deadline, StopFlag, utc_now
from fraudctl.config.endpoints import Endpoints
from fraudctl.database.landings import Landings, LandingsReader
from fraudctl.errors import ExitCode, FraudctlError, NotReadyError
from fraudctl.operations.detect.supervise import DetectorKilledError, DetectRequest
from fraudctl.operations.drill.detector_run import DetectorRun
from fraudctl.operations.drill.load import Load
from fraudctl.operations.drill.plan import Cycle
from fraudctl.operations.lifecycle.up import UpRequest, up
from fraudctl.operations.produce.steady import Progress as Traffic
from fraudctl.progress import Observe, Progress, silent
from fraudctl.runtime.files import tail

# The time that a step may take on a slow machine before the drill gives up.
PATIENCE_SECONDS = 300.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class CycleReport:
    """A fault and its outcome.

    `back_seconds`: the time until the next batch was committed; it starts at the restart if the detector had
    died, at its waking if it was halted, otherwise at the fault. `as_promised`: the pipeline recovered
    without help where it should.
    """

    fault: str
    place: str
    outcome: str
    back_seconds: float
    as_promised: bool = True


@dataclass
class Rig:
    """The test harness that every kind of fault works with.

    `now` is called with what the drill waits for and the state of the load. `stop` is set by the user; it
    ends the drill after the present cycle, which is reported to `step` once.
    """

    detecting: DetectRequest
    endpoints: Endpoints
    load: Load
    landed: LandingsReader
    stop: StopFlag
    step: Observe
    now: Callable[[str, Traffic | None], None]
    run: DetectorRun | None = None
    _told: bool = field(default=False, init=False)

    @property
    def connect_seconds(self) -> float:
        """Return the timeout for connecting to the database, in seconds."""
        return self.detecting.settings.timeouts.connect_seconds

    def landings(self, since: datetime | None = None) -> Landings:
        """Return the counts of committed batches, since a moment or since now."""
        return self.landed.look(since or utc_now())

    def wait(self, what: str, found: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until `found` returns True; `what` names the thing for messages.

        Raises:
            NotReadyError: it did not happen in time.
            FraudctlError: the load has failed.
        """
        deadline = Deadline(seconds)
        while not found():
            self.load.check()
            if deadline.expired:
                raise NotReadyError(
                    f"the drill waited {seconds:g} s in vain for {what}",
                    detail="\n".join(tail(self.detecting.lane.log(self.detecting.paths), 5)),
                    hint="look at the logs of the stack",
                )
            if self.stop.is_set and not self._told:
                self._told = True
                self.step(Progress("drill", "note", "ending after this cycle; Ctrl-C again ends it now"))
            self.now(what, self.load.progress)
            time.sleep(_POLL_SECONDS)

    def let_pass(self, seconds: float, what: str) -> None:
        """Wait that many seconds."""
        over = Deadline(seconds)
        self.wait(what, lambda: over.expired)

    def detector(self, armed: str = "") -> DetectorRun:
        """Return the detector run, alive or dead by now, with that failpoint armed and no other.

        Raises:
            FraudctlError: it ended by itself, with nothing armed.
        """
        run = self.run
        if run is not None and run.armed == armed and (armed or not run.ended):
            return run
        self.end_detector()
        return self.start_detector(armed)

    def start_detector(self, armed: str = "") -> DetectorRun:
        """Start a detector run with that failpoint armed, or with none."""
        self.run = DetectorRun(self.detecting, armed=armed, complete=lambda: self.load.ended)
        return self.run

    def end_detector(self) -> None:
        """Let the detector finish its batch and end, or kill it if a failpoint is armed and may still happen.

        Raises:
            FraudctlError: the detector has failed.
        """
        run, self.run = self.run, None
        if run is None:
            return
        if run.armed:
            self.wait("the detector's process", lambda: run.record is not None or run.ended)
            run.kill()
            self.wait("the detector's end", lambda: run.ended)
            return
        if run.ended and run.failure is not None:
            raise run.failure
        self.now("stopping the detector", self.load.progress)
        run.stop()
        if run.failure is not None:
            raise run.failure

    def abandon(self) -> None:
        """End load and detector without waiting for unfinished work."""
        self.load.abandon()
        if self.run is not None and not self.run.ended:
            self.run.abandon()

    def wait_for_batches(self, run: DetectorRun, batches: int) -> None:
        """Wait until that many more batches are committed."""
        wanted = self.landings().total + batches

        def landed() -> bool:
            _refuse_ended(run)
            return self.landings().total >= wanted

        self.wait(f"{batches} batches to land", landed)

    def start_again(self, dead: DetectorRun, following: Cycle | None) -> tuple[float, bool]:
        """Start a new run after the detector died, armed for the following cycle, and wait for a batch.

        Returns:
            The seconds until a batch was committed, and whether a batch that was durable already was run
                again.

        Raises:
            FraudctlError: the detector died of another cause than the drill.
        """
        if dead.failure is not None and not isinstance(dead.failure, DetectorKilledError):
            raise dead.failure
        return self.start_after(following)

    def start_after(self, following: Cycle | None) -> tuple[float, bool]:
        """Start a new run, whatever the last one ended with, and wait for a batch.

        Returns:
            The seconds until a batch was committed, and whether a batch that was durable already was run
                again.
        """
        before = self.landings()
        began = time.monotonic()
        run = self.start_detector(following.armed if following else "")

        def landed() -> bool:
            if self.landings().total > before.total:
                return True
            _refuse_ended(run)
            return False

        self.wait("a batch after the new start", landed)
        return time.monotonic() - began, self.landings().again > before.again

    def goes_on(
        self, run: DetectorRun, landed: Callable[[Landings], bool], *, since: datetime, tolerated: bool
    ) -> tuple[str, float, bool]:
        """Wait for the next batch after a fault that the detector must survive.

        A detector that gave up with exit 4 is started again, which is as promised only if `tolerated`.

        Returns:
            The outcome in words, the seconds waited, and whether the outcome is as promised.
        """
        began = time.monotonic()
        outcome, promised = "the detector went on by itself", True

        def back() -> bool:
            nonlocal outcome, promised
            if landed(self.landings(since)):
                return True
            present = self.run or run
            if present.ended:
                _refuse_unless_unreachable(present)
                outcome, promised = "the detector gave up (exit 4) and was started again", tolerated
                self.start_detector()
            return False

        self.wait("a batch after the fault", back)
        return outcome, time.monotonic() - began, promised

    def up(self) -> None:
        """Start services that were killed, as `fraudctl up` does."""
        detecting = self.detecting
        # A first Ctrl-C ends the drill after this cycle, so it must not interrupt this step.
        up(UpRequest(detecting.settings, detecting.paths, detecting.environ), stop=StopFlag(), observe=silent)


def _refuse_ended(run: DetectorRun) -> None:
    """Raise the error of a run that ended by itself.

    A run killed at its failpoint does not count: it may have committed the batch before, so the caller looks
    again.
    """
    if run.ended and not run.armed:
        raise run.failure or NotReadyError("the detector ended by itself, in the middle of the drill")


def _refuse_unless_unreachable(run: DetectorRun) -> None:
    failure: FraudctlError | None = run.failure
    if failure is None or isinstance(failure, DetectorKilledError):
        raise failure or NotReadyError("the detector ended by itself, in the middle of the drill")
    if failure.exit_code != ExitCode.UNREACHABLE:
        raise failure
