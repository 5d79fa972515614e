"""A new generation: move all results aside, so that the next detector starts with what the log still holds.

This is for the case that `replay --rebuild` is refused because the log has lost records that were counted.
Nothing is deleted: the earlier rows are kept in a schema of their own, and nothing is added to them. Alerts
among them that were not sent yet stay there. Records that are read again produce their alerts again, which
are sent under the same keys.
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
    """Move windows, dead letters, alerts and ledger aside in one transaction, and then the checkpoint.

    If it is killed between the two, `detect` rejects the checkpoint as one that the database does not know;
    a second call finishes the work.

    Raises:
        RefusedError: a detector is running, or the topic or the migrations are missing.
        UnreachableError: broker or database does not answer.
        ConfigError: the database refuses the connection.
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
