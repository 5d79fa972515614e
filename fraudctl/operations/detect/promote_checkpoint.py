"""Move the checkpoint of a rebuild to the live one's place, also when the rebuild was killed half-way.

A rebuild first puts its rows in the place of the live ones, in one transaction, and then its checkpoint. The
ledger decides: once its newest row names the query of the rebuild's checkpoint, that checkpoint is the one
that belongs to the tables, and it is moved, by whoever looks next. Before that it is worth nothing.
"""

import json
from pathlib import Path

from fraudctl.clock import Deadline
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.lane import REPLAY
from fraudctl.config.paths import StackPaths
from fraudctl.database import continuation
from fraudctl.database.connection import connect
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.files import free_beside, locked

# Two names are changed: it takes no time.
_LOCK_SECONDS = 30.0


def settle_checkpoint(
    paths: StackPaths, postgres: PostgresEndpoint, *, connect_seconds: float, observe: Observe
) -> bool:
    """Move the rebuilt checkpoint if, and only if, the ledger has become the rebuild's; True if it was moved.

    The old checkpoint is kept beside it. Twice is once, and a kill between the two moves does no harm.

    Raises:
        UnreachableError, ConfigError: there is no connection to be had.
        NotReadyError: somebody else has been moving it all the time.
    """
    rebuilt, live = REPLAY.checkpoint(paths), paths.checkpoint
    if not rebuilt.exists():
        return False
    with locked(paths.run / "checkpoint.lock", Deadline(_LOCK_SECONDS), purpose="moving a checkpoint"):
        if not awaits_its_place(paths, postgres, connect_seconds=connect_seconds):
            return False
        if live.exists():
            live.rename(free_beside(live, "before-rebuild"))
        rebuilt.rename(live)
    observe(Progress("checkpoint", "note", "the rebuilt one is in place"))
    return True


def awaits_its_place(paths: StackPaths, postgres: PostgresEndpoint, *, connect_seconds: float) -> bool:
    """Has the ledger become the rebuild's, while its checkpoint is not yet the live one? Changes nothing.

    Raises:
        UnreachableError, ConfigError: there is no connection to be had.
    """
    query_id = _query_id(REPLAY.checkpoint(paths))
    if query_id is None or query_id == _query_id(paths.checkpoint):
        return False
    with connect(postgres, application="fraudctl replay", timeout_seconds=connect_seconds) as connection:
        landed = continuation.newest(connection)
    return landed is not None and landed.query_id == query_id


def _query_id(checkpoint: Path) -> str | None:
    """Whose checkpoint it is; None where it cannot be told (the live one may be damaged)."""
    try:
        return str(json.loads((checkpoint / "metadata").read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
