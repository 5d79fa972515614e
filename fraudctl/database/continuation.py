"""Check that a detector may continue from its checkpoint.

The ledger knows which batches were written, by which query and under which settings.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from psycopg import errors as sqlstate

from fraudctl.config.endpoints import WRITER, PostgresEndpoint
from fraudctl.config.job import changed
from fraudctl.database.connection import Connection, asking
from fraudctl.database.statements import statement
from fraudctl.errors import REBUILD, RefusedError

_MAY_WRITE = "SELECT has_table_privilege(to_regclass('batch_ledger'), 'INSERT')"
_ANEW = "begin anew with `fraudctl detect --new-generation`, which keeps all that has landed aside"

Ends = dict[int, int]


@dataclass(frozen=True)
class Present:
    """The state that the coming run would start from.

    `plans` maps the number of each of the checkpoint's newest planned batches to its end offsets.
    """

    query_id: str | None
    last_commit: int | None
    plans: dict[int, Ends]
    cluster_id: str
    topic: str
    topic_id: str
    fingerprint: str

    @property
    def last_plan(self) -> int | None:
        """Return the number of the newest planned batch; None if no batch is planned."""
        return max(self.plans, default=None)


@dataclass(frozen=True)
class Landed:
    """The newest row of the ledger."""

    query_id: str
    batch_id: int
    cluster_id: str
    topic: str
    topic_id: str
    fingerprint: str
    ends: Ends = field(default_factory=dict)


def check(
    endpoint: PostgresEndpoint, present: Present, *, connect_seconds: float, settled: bool = True
) -> Landed | None:
    """Reject a start that would give wrong numbers; return the newest batch of the ledger.

    Args:
        endpoint: the database and the user to connect as.
        present: the state that the run would start from.
        connect_seconds: time limit for the connection and each query, in seconds.
        settled: no detector is writing batches, so ledger and checkpoint can be compared batch by batch.

    Raises:
        RefusedError: says what differs and what to do.
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
    """
    with asking(endpoint, application="fraudctl detect", timeout_seconds=connect_seconds) as connection:
        check_durability(connection)
        landed = newest(connection)
    for part in CHECKS if settled else CHECKS[:-1]:
        part(landed, present)
    return landed


def check_unmoved(endpoint: PostgresEndpoint, seen: int | None, *, connect_seconds: float) -> None:
    """Check, after the lease was acquired, that no batch was written since the ledger was last read.

    Args:
        endpoint: the database and the user to connect as.
        seen: the newest batch of the ledger at that time; None if there was none.
        connect_seconds: time limit for the connection and each query, in seconds.

    Raises:
        RefusedError: another detector has written a batch, so the checkpoint that was checked is outdated.
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
    """
    with asking(endpoint, application="fraudctl detector", timeout_seconds=connect_seconds) as connection:
        landed = newest(connection)
    now = None if landed is None else landed.batch_id
    if now != seen:
        raise RefusedError(
            "another detector has landed batches while this one was starting",
            detail=f"the ledger ended with batch {seen}, and ends with {now} now",
            hint="run `fraudctl detect` again, where the newest checkpoint is",
        )


def check_writer(endpoint: PostgresEndpoint, *, connect_seconds: float) -> None:
    """Check that the detector's role may log in and write, before Spark is started for it.

    Raises:
        RefusedError: it may not write to the ledger.
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
    """
    with asking(endpoint, application="fraudctl detect", timeout_seconds=connect_seconds) as connection:
        row = connection.execute(_MAY_WRITE).fetchone()
    if row is not None and row[0] is False:
        raise RefusedError(
            f"user {endpoint.user!r} may not write to the tables of the detector",
            hint=f"let it be {WRITER}, or a member of it: GRANT {WRITER} TO the user",
        )


def last_landed(endpoint: PostgresEndpoint, *, connect_seconds: float) -> Landed | None:
    """Return the newest row of the ledger; None if the ledger is empty or the tables do not exist.

    Raises:
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
    """
    with asking(endpoint, application="fraudctl rules", timeout_seconds=connect_seconds) as connection:
        try:
            return newest(connection)
        except (sqlstate.UndefinedTable, sqlstate.InvalidSchemaName):
            return None


def newest(connection: Connection) -> Landed | None:
    """Return the newest row of the ledger; None if the ledger is empty."""
    row = connection.execute(statement("ledger_latest")).fetchone()
    if row is None:
        return None
    query_id, batch_id, cluster_id, topic, topic_id, fingerprint, offsets = row
    ends = {int(partition): int(span[1]) for partition, span in offsets.items()}
    return Landed(query_id, batch_id, cluster_id, topic, topic_id, fingerprint, ends)


def check_durability(connection: Connection) -> None:
    """Check that PostgreSQL keeps acknowledged commits after a crash.

    Raises:
        RefusedError: the server may lose what it has acknowledged.
    """
    for name, value in connection.execute(statement("durability")).fetchall():
        if value == "off":
            raise RefusedError(
                f"the database has {name} = off: what it acknowledges may be gone after a crash",
                detail="a window that is lost that way and not updated again would stay wrong for ever",
                hint=f"set {name} = on in its configuration; ALTER DATABASE and ALTER ROLE may set it, too",
            )


def check_query(landed: Landed | None, present: Present) -> None:
    """Check that the checkpoint belongs to the query that wrote the ledger.

    Raises:
        RefusedError: the checkpoint is gone, or is not the one that the windows were made with.
    """
    if landed is None:
        if present.last_commit is not None or (present.last_plan or 0) > 0:
            raise RefusedError(
                "the checkpoint has finished batches that the database knows nothing of",
                detail=f"newest planned batch: {present.last_plan}; the ledger is empty",
                hint=f"point to the database that it belongs to, or {REBUILD}",
            )
        return
    if present.query_id is None:
        raise RefusedError(
            "the detector's checkpoint is gone, but its windows are in the database",
            detail=f"the ledger ends with batch {landed.batch_id} of query {landed.query_id}; "
            "starting from nothing would lower counts that are right now",
            hint=f"restore the checkpoint, or {REBUILD}",
        )
    if present.query_id != landed.query_id:
        raise RefusedError(
            "the checkpoint belongs to another query than the windows in the database",
            detail=f"checkpoint: {present.query_id}; ledger: {landed.query_id}",
            hint=f"restore the right checkpoint, or {REBUILD}",
        )


def check_origin(landed: Landed | None, present: Present) -> None:
    """Check that broker and topic are those that the committed batches were read from.

    Raises:
        RefusedError: the log is another one than the one that was read.
    """
    if landed is None:
        return
    for name, was, now in (
        ("the broker's cluster id", landed.cluster_id, present.cluster_id),
        ("the topic's name", landed.topic, present.topic),
        ("the topic's id", landed.topic_id, present.topic_id),
    ):
        if was != now:
            raise RefusedError(
                f"{name} is not the one that the landed batches were read from",
                detail=f"ledger: {was}; now: {now}",
                hint=f"its offsets would mean other records; point back to the right one, or {_ANEW}",
            )


def check_fingerprint(landed: Landed | None, present: Present) -> None:
    """Check that no setting that decides the numbers has changed.

    Raises:
        RefusedError: continuing would mix windows that were counted under different settings.
    """
    if landed is not None and landed.fingerprint != present.fingerprint:
        raise RefusedError(
            "a setting that decides the numbers has changed since the last batch was landed",
            detail=f"changed: {', '.join(changed(landed.fingerprint, present.fingerprint))}; "
            "`fraudctl config show --origin` says where each value comes from",
            hint=f"set it back, or {REBUILD}",
        )


def check_position(landed: Landed | None, present: Present) -> None:
    """Check that the checkpoint and the ledger are at the same batch.

    A batch is planned, written to PostgreSQL and committed by Spark, in this order. So the ledger ends with
    the newest planned batch or with the one before. It may be ahead of Spark's newest commit, because Spark
    runs only the newest planned batch again.

    Raises:
        RefusedError: the checkpoint or the database is an older copy, or their batches differ.
    """
    if landed is None:
        return
    plan = -1 if present.last_plan is None else present.last_plan
    commit = -1 if present.last_commit is None else present.last_commit
    if plan < landed.batch_id:
        raise RefusedError(
            "the checkpoint is behind the database: it is an older copy, or its newest files were lost",
            detail=f"its newest planned batch is {plan}, the ledger ends with {landed.batch_id}; "
            "going on would plan landed batches anew, perhaps with other records",
            hint=f"restore the newest checkpoint, or {REBUILD}",
        )
    if commit > landed.batch_id or plan > landed.batch_id + 1:
        raise RefusedError(
            "the database is behind the checkpoint: landed batches are missing",
            detail=f"checkpoint: batch {commit} is finished, batch {plan} is planned; "
            f"the ledger ends with {landed.batch_id}",
            hint=f"was the database restored from an older copy? Restore the newest one, or {REBUILD}",
        )
    planned = present.plans.get(landed.batch_id)
    if planned is not None and planned != landed.ends:
        raise RefusedError(
            f"checkpoint and database disagree about the records of batch {landed.batch_id}",
            detail=f"checkpoint: up to {planned}; ledger: up to {landed.ends}",
            hint=f"restore the checkpoint that belongs to this database, or {REBUILD}",
        )


# The order matters: an error about the query or the log explains one about the batch number.
CHECKS: tuple[Callable[[Landed | None, Present], None], ...] = (
    check_query,
    check_origin,
    check_fingerprint,
    check_position,
)
