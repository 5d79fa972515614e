"""Promotion of a rebuild's checkpoint to the live one, also when the rebuild was killed half-way.

A rebuild first replaces the live rows with its own, in one transaction, and then the live checkpoint. The
ledger decides: once its newest row names the query of the rebuild's checkpoint, that checkpoint belongs to
the tables, and the next command that checks promotes it. Before that it must not be promoted.
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

# A promotion only renames two folders, so the lock is held briefly.
_LOCK_SECONDS = 30.0


def settle_checkpoint(
    paths: StackPaths, postgres: PostgresEndpoint, *, connect_seconds: float, observe: Observe
) -> bool:
    """Promote the rebuilt checkpoint if the ledger is the rebuild's, and return whether it was promoted.

    The old checkpoint is kept beside it. A second call does nothing, and after a kill between the two renames
    the next call finishes the work.

    Raises:
        UnreachableError: the database does not answer.
        ConfigError: the database refuses the connection.
        NotReadyError: another process held the lock all the time.
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
    """Return whether the ledger is the rebuild's, but its checkpoint has not been promoted; change nothing.

    Raises:
        UnreachableError: the database does not answer.
        ConfigError: the database refuses the connection.
    """
    query_id = _query_id(REPLAY.checkpoint(paths))
    if query_id is None or query_id == _query_id(paths.checkpoint):
        return False
    with connect(postgres, application="fraudctl replay", timeout_seconds=connect_seconds) as connection:
        landed = continuation.newest(connection)
    return landed is not None and landed.query_id == query_id


def _query_id(checkpoint: Path) -> str | None:
    """Return the id of the checkpoint's query; None if it cannot be read (the checkpoint may be damaged)."""
    try:
        return str(json.loads((checkpoint / "metadata").read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
