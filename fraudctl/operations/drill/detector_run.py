"""Run the detector on a thread of its own, so that the drill can inject faults meanwhile."""

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
    """A run of the detector on a thread of its own, which starts at once.

    `armed` is the failpoint in its FRAUDCTL_FAILPOINT; it becomes empty once that has happened.
    """

    def __init__(self, request: DetectRequest, *, armed: str, complete: Callable[[], bool]) -> None:
        """Start the run.

        Args:
            request: the request for the detector; a failpoint in its environment is replaced.
            armed: the value of FRAUDCTL_FAILPOINT, or empty for no failpoint.
            complete: tells the detector whether all events have been sent.
        """
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
        """Return whether the run is over."""
        return not self._thread.is_alive()

    @property
    def record(self) -> supervise.ProcessRecord | None:
        """Return the record of the detector's process, or None before it is started."""
        found = supervise.read_record(record_file(self._request.paths))
        return found if found != self._former else None

    @property
    def failure(self) -> FraudctlError | None:
        """Return the error that the run ended with; None when it ended well, or has not ended.

        Raises:
            DataError: it ended without a result.
        """
        if self.ended and self._failure is None and not self._done:
            raise DataError("the detector's supervisor ended without an account", hint="run the drill again")
        return self._failure

    @property
    def halted(self) -> bool:
        """Return whether the detector is halted at its failpoint."""
        record = self.record
        return record is not None and supervise.is_halted(record)

    def wake(self) -> None:
        """Let a halted detector continue; its failpoint has happened then."""
        self.armed = ""
        record = self.record
        if record is not None:
            supervise.wake(record)

    def kill(self) -> None:
        """Kill its process group with SIGKILL, as a power cut would."""
        record = self.record
        if record is not None:
            supervise.stop(record, grace_seconds=0, first_signal=signal.SIGKILL)

    def stop(self) -> None:
        """Let the detector finish its batch, and wait until it has ended."""
        self._stop.set()
        self._thread.join()

    def abandon(self) -> None:
        """End the run now, even if it has not started its process yet.

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
