"""The stack under the drill: load on it, a detector that comes and goes, and a look at what has landed."""

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

# How long anything may take on a slow machine before the drill gives up.
PATIENCE_SECONDS = 300.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class CycleReport:
    """One fault and what came of it.

    `back_seconds`: until the next batch landed; from the next start if the detector had died, from the
    moment it was woken if it was halted, otherwise from the fault. `as_promised`: nobody had to help who
    should not have to.
    """

    fault: str
    place: str
    outcome: str
    back_seconds: float
    as_promised: bool = True


@dataclass
class Rig:
    """What every kind of fault works with. `now` is told what is waited for, and how the load stands.

    `stop` is what the user asks for; it ends the drill after the present cycle, and `step` is told once.
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
        return self.detecting.settings.timeouts.connect_seconds

    def landings(self, since: datetime | None = None) -> Landings:
        return self.landed.look(since or utc_now())

    def wait(self, what: str, found: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Return as soon as it is found.

        Raises:
            NotReadyError: it was not found in time.
            FraudctlError: the load has broken down.
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
        """Wait that long."""
        over = Deadline(seconds)
        self.wait(what, lambda: over.expired)

    def detector(self, armed: str = "") -> DetectorRun:
        """The detector, running or dead by now, with that failpoint armed in it and no other.

        Raises:
            FraudctlError: it ended by itself, with nothing armed.
        """
        run = self.run
        if run is not None and run.armed == armed and (armed or not run.ended):
            return run
        self.end_detector()
        return self.start_detector(armed)

    def start_detector(self, armed: str = "") -> DetectorRun:
        self.run = DetectorRun(self.detecting, armed=armed, complete=lambda: self.load.ended)
        return self.run

    def end_detector(self) -> None:
        """Let it finish its batch and end; one that is armed is killed: who knows what it would do."""
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
        """End whatever is still at work, without waiting for what it has to do."""
        self.load.abandon()
        if self.run is not None and not self.run.ended:
            self.run.abandon()

    def wait_for_batches(self, run: DetectorRun, batches: int) -> None:
        """Wait until so many more batches have landed."""
        wanted = self.landings().total + batches

        def landed() -> bool:
            _refuse_ended(run)
            return self.landings().total >= wanted

        self.wait(f"{batches} batches to land", landed)

    def start_again(self, dead: DetectorRun, following: Cycle | None) -> tuple[float, bool]:
        """Start after a death, armed for what comes next; the seconds until a batch has landed.

        Also tells whether a batch that had been durable was run again.

        Raises:
            FraudctlError: the detector did not die of the drill, but of something else.
        """
        if dead.failure is not None and not isinstance(dead.failure, DetectorKilledError):
            raise dead.failure
        return self.start_after(following)

    def start_after(self, following: Cycle | None) -> tuple[float, bool]:
        """The same, whatever the last run ended with."""
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
        """Wait for the next batch after a fault that the detector is to survive: outcome, seconds, promise.

        One that gave up with exit 4 is started again, which is as promised only if `tolerated`.
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
        """Start again what was killed, as `fraudctl up` does."""
        detecting = self.detecting
        # A first Ctrl-C ends the drill after this cycle, so it must not reach into it.
        up(UpRequest(detecting.settings, detecting.paths, detecting.environ), stop=StopFlag(), observe=silent)


def _refuse_ended(run: DetectorRun) -> None:
    """A run that died of what it was armed with may have landed the batch before: look once more."""
    if run.ended and not run.armed:
        raise run.failure or NotReadyError("the detector ended by itself, in the middle of the drill")


def _refuse_unless_unreachable(run: DetectorRun) -> None:
    failure: FraudctlError | None = run.failure
    if failure is None or isinstance(failure, DetectorKilledError):
        raise failure or NotReadyError("the detector ended by itself, in the middle of the drill")
    if failure.exit_code != ExitCode.UNREACHABLE:
        raise failure
