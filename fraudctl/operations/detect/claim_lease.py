"""The check before a detector starts that the lease is free, or can be taken from its holder."""

import os
import socket

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database import lease
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.process import identity


def claim_lease(
    endpoint: PostgresEndpoint, *, takeover: bool, connect_seconds: float, observe: Observe
) -> None:
    """Make sure that the lease is free; the detector itself acquires it later.

    The lease is taken at once from a holder of this machine that is surely dead (after kill -9, for example).
    From any other holder it is taken only with `takeover`, or once the lease has expired.

    Raises:
        RefusedError: another detector holds the lease.
        UnreachableError: the database does not answer.
        ConfigError: the database refuses the connection.
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
