"""Wait for a service to answer its own clients, for as long as its process lives."""

from collections.abc import Callable
from pathlib import Path

from fraudctl.clock import Deadline, StopFlag
from fraudctl.errors import FraudctlError, NotReadyError, UnreachableError
from fraudctl.runtime.files import tail
from fraudctl.runtime.first_cause import first_cause, lines_since
from fraudctl.runtime.process.supervise import ProcessRecord, ending, is_alive

# Is given the seconds it may take; raises UnreachableError while there is no answer.
Probe = Callable[[float], None]

_PROBE_SECONDS = 1.0
_POLL_SECONDS = 0.1
_LOG_LINES = 8


def wait_ready(
    record: ProcessRecord, probe: Probe, deadline: Deadline, log: Path, stop: StopFlag | None = None
) -> None:
    """Wait until `probe` succeeds.

    Raises:
        NotReadyError: the process ended, or the deadline passed; its last log lines are the detail.
        FraudctlError: the probe's own error, when waiting longer cannot change it.
    """
    waiting = stop or StopFlag()
    last = ""
    while True:
        try:
            probe(max(0.1, min(_PROBE_SECONDS, deadline.remaining())))
            return
        except UnreachableError as error:
            last = error.detail or error.message
        if not is_alive(record):
            raise _not_ready(f"{record.name} {ending(record)} while it was starting", "", log, record)
        if deadline.expired:
            raise _not_ready(f"{record.name} was not ready within {deadline.seconds:g} s", last, log, record)
        if waiting.wait(_POLL_SECONDS):
            raise KeyboardInterrupt


def is_ready(probe: Probe, seconds: float) -> tuple[bool, str]:
    """Probe a service once; return whether it answers, and if not, why."""
    try:
        probe(seconds)
    except FraudctlError as error:
        return False, error.detail or error.message
    return True, ""


def _not_ready(message: str, last_error: str, log: Path, record: ProcessRecord) -> NotReadyError:
    cause = first_cause(lines_since(log, record.log_begin))
    lines = [f"first cause: {cause}"] if cause else []
    lines += [f"last answer: {last_error}"] if last_error else []
    lines += [f"{log.name}: {line}" for line in tail(log, _LOG_LINES)]
    return NotReadyError(message, detail="\n".join(lines), hint=f"the whole log is {log}")
