"""Set everything that has landed aside, and let the next detector begin anew with what the log still holds.

The way on when `replay --rebuild` is refused because the log has lost what was counted: nothing is deleted,
but the rows of before are looked at in a schema of their own, and no longer added to. Alerts among them that
were not sent on yet stay there; what is read again raises its alerts again, sent under the same keys.
"""

import os
import socket

from fraudctl.clock import StopFlag
from fraudctl.config.lane import LIVE
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.database.lease import Holder
from fraudctl.database.shadow import Shadow
from fraudctl.errors import RefusedError
from fraudctl.operations.detect.claim_lease import claim_lease
from fraudctl.operations.detect.wait_for_stack import wait_for_stack
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.files import free_beside
from fraudctl.runtime.process import detector, identity, supervise


def new_generation(settings: Settings, paths: StackPaths, *, stop: StopFlag, observe: Observe) -> None:
    """Set windows, dead letters, alerts and ledger aside in one transaction, then the checkpoint.

    Killed between the two, `detect` refuses the checkpoint as one that the database knows nothing of, and
    the same command once more finishes the work.

    Raises:
        RefusedError: a detector is at work.
        UnreachableError, ConfigError: broker or database does not answer.
    """
    record = detector.record(paths, LIVE)
    if record is not None and supervise.is_alive(record):
        raise RefusedError(
            f"a detector of stack {paths.stack!r} runs, as process {record.pid}",
            hint="stop it with `fraudctl detect --stop`; a new generation begins without it",
        )
    postgres = wait_for_stack(settings, paths, stop=stop, observe=observe).postgres
    seconds = settings.timeouts.connect_seconds
    claim_lease(postgres, takeover=False, connect_seconds=seconds, observe=observe)
    name = f"{socket.gethostname()} pid {os.getpid()}, detect --new-generation"
    holder = Holder(name, identity.of_process(os.getpid()))
    schema = Shadow(postgres, connect_seconds=seconds).set_aside(holder)
    if schema:
        observe(Progress("generation", "note", f"what had landed is kept in schema {schema}"))
    if paths.checkpoint.exists():
        aside = free_beside(paths.checkpoint, "generation")
        paths.checkpoint.rename(aside)
        observe(Progress("generation", "note", f"its checkpoint is kept as {aside.name}"))
