"""See to it that the lease is free before a detector starts, or say who has it."""

import os
import socket

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database import lease
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.process import identity


def claim_lease(
    endpoint: PostgresEndpoint, *, takeover: bool, connect_seconds: float, observe: Observe
) -> None:
    """Return when the lease is free; which of several detectors then gets it, the database decides.

    A holder of this machine that is surely dead (kill -9, for one) is succeeded at once, everybody else only
    when silent for as long as its lease lasts, or on `takeover`.

    Raises:
        RefusedError: somebody holds the lease.
        UnreachableError, ConfigError: there is no connection to be had.
    """
    seen = lease.look(endpoint, connect_seconds=connect_seconds)
    if seen.free:
        return
    dead = identity.is_surely_dead(seen.process)
    if not (dead or takeover):
        raise lease.held(seen)
    by = f"{socket.gethostname()} pid {os.getpid()}, starting"
    if lease.evict(endpoint, seen, by=by, connect_seconds=connect_seconds):
        how = "its process is gone" if dead else "it is fenced off from now on"
        observe(Progress("lease", "note", f"taken from {seen.holder}: {how}"))
        return
    now = lease.look(endpoint, connect_seconds=connect_seconds)
    if not now.free:
        raise lease.held(now)
