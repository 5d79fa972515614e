"""May a detector go on from this checkpoint? The ledger knows what was landed, by whom and how."""

from dataclasses import dataclass

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import connect
from fraudctl.database.statements import statement
from fraudctl.errors import RefusedError

_ANEW = "begin anew with `fraudctl down --volumes`, which removes log, windows and checkpoint together"


@dataclass(frozen=True)
class Present:
    """What the coming run would work with."""

    query_id: str | None
    last_commit: int | None
    cluster_id: str
    topic: str
    topic_id: str
    fingerprint: str


def check(endpoint: PostgresEndpoint, present: Present, *, connect_seconds: float) -> None:
    """Compare with the newest row of the ledger.

    Raises:
        RefusedError: going on would give wrong numbers; says what differs and what to do.
    """
    with connect(endpoint, application="fraudctl detect", timeout_seconds=connect_seconds) as connection:
        row = connection.execute(statement("ledger_latest")).fetchone()
    if row is None:
        if present.last_commit is not None:
            raise RefusedError(
                "the checkpoint has finished batches that the database knows nothing of",
                detail=f"last finished batch: {present.last_commit}; the ledger is empty",
                hint=f"this checkpoint belongs to another database; {_ANEW}",
            )
        return
    query_id, batch_id, cluster_id, topic, topic_id, fingerprint = row
    if present.query_id is None:
        raise RefusedError(
            "the detector's checkpoint is gone, but its windows are in the database",
            detail=f"the ledger ends with batch {batch_id} of query {query_id}; "
            "starting from nothing would lower counts that are right now",
            hint=f"restore the checkpoint, or {_ANEW}",
        )
    if present.query_id != query_id:
        raise RefusedError(
            "the checkpoint belongs to another query than the windows in the database",
            detail=f"checkpoint: {present.query_id}; ledger: {query_id}",
            hint=f"restore the right checkpoint, or {_ANEW}",
        )
    if present.last_commit is not None and present.last_commit > batch_id:
        raise RefusedError(
            "the database is behind the checkpoint: landed batches are missing",
            detail=f"checkpoint: batch {present.last_commit} is finished; the ledger ends with {batch_id}",
            hint=f"the database was restored from an older copy? Restore the newest one, or {_ANEW}",
        )
    for name, was, now in (
        ("the broker's cluster id", cluster_id, present.cluster_id),
        ("the topic's name", topic, present.topic),
        ("the topic's id", topic_id, present.topic_id),
    ):
        if was != now:
            raise RefusedError(
                f"{name} is not the one that the landed batches were read from",
                detail=f"ledger: {was}; now: {now}",
                hint=f"its offsets would mean other records; {_ANEW}",
            )
    if fingerprint != present.fingerprint:
        raise RefusedError(
            "a setting that decides the numbers has changed since the last batch was landed",
            detail="one of topic, events, windows, lateness or rules; see `fraudctl config show --origin`",
            hint=f"set it back, or {_ANEW}",
        )
