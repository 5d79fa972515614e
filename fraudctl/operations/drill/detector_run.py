"""One run of the detector on a thread of its own, so that somebody else can strike it meanwhile."""

import signal
import threading
from collections.abc import Callable
from dataclasses import replace

from fraudctl.clock import Deadline, StopFlag
from fraudctl.errors import DataError, FraudctlError, NotReadyError
from fraudctl.failpoints import VARIABLE
from fraudctl.operations.detect.supervise import DetectRequest, detect, record_file
from fraudctl.progress import silent
from fraudctl.runtime.process import supervise

_POLL_SECONDS = 0.1
# A start that is under way waits this long for services that do not answer.
_ABANDON_SECONDS = 60.0


class DetectorRun:
    """Begins at once. `armed` is what FRAUDCTL_FAILPOINT says to it; it is emptied once that has happened."""

    def __init__(self, request: DetectRequest, *, armed: str, complete: Callable[[], bool]) -> None:
        environ = {name: value for name, value in request.environ.items() if name != VARIABLE}
        self.armed = armed
        self._request = replace(request, environ={**environ, VARIABLE: armed} if armed else environ)
        self._complete = complete
        self._former = supervise.read_record(record_file(request.paths))
        self._stop = StopFlag()
        self._failure: FraudctlError | None = None
        self._done = False
        self._thread = threading.Thread(target=self._run, name="detector", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    @property
    def record(self) -> supervise.ProcessRecord | None:
        """Its process, once that has been started."""
        found = supervise.read_record(record_file(self._request.paths))
        return found if found != self._former else None

    @property
    def failure(self) -> FraudctlError | None:
        """What it ended with; None when it ended well, or has not ended.

        Raises:
            DataError: it ended without saying how.
        """
        if self.ended and self._failure is None and not self._done:
            raise DataError("the detector's supervisor ended without an account", hint="run the drill again")
        return self._failure

    @property
    def halted(self) -> bool:
        record = self.record
        return record is not None and supervise.is_halted(record)

    def wake(self) -> None:
        """Let a halted one go on; what it was armed with has happened."""
        self.armed = ""
        record = self.record
        if record is not None:
            supervise.wake(record)

    def kill(self) -> None:
        """kill -9 of its process group, as a power cut would."""
        record = self.record
        if record is not None:
            supervise.stop(record, grace_seconds=0, first_signal=signal.SIGKILL)

    def stop(self) -> None:
        """Let it finish its batch, and wait for its end."""
        self._stop.set()
        self._thread.join()

    def abandon(self) -> None:
        """See to it that it ends now, also one that is only about to start its process.

        Raises:
            NotReadyError: it did not end.
        """
        self._stop.set()
        deadline = Deadline(_ABANDON_SECONDS)
        while not self.ended:
            if deadline.expired:
                raise NotReadyError(
                    "the detector of the drill does not end", hint="look at `fraudctl status`"
                )
            self.kill()
            self._thread.join(_POLL_SECONDS)

    def _run(self) -> None:
        try:
            detect(
                self._request,
                stop=self._stop,
                observe=silent,
                on_batch=lambda _batch: None,
                complete=self._complete,
            )
            self._done = True
        except FraudctlError as error:
            self._failure = error
        except KeyboardInterrupt:
            self._done = True  # stopped while it still waited for its services
