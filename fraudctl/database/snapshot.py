"""Read windows, ledger, dead letters, alerts and flags as of one instant."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg import errors as sqlstate

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import Connection, connect
from fraudctl.database.refusals import refusal
from fraudctl.database.statements import statement
from fraudctl.errors import DataError, RefusedError, UnreachableError
from fraudctl.recount.alerts import Alert
from fraudctl.recount.card_log import FlagKey
from fraudctl.recount.compare import Place
from fraudctl.recount.flags import FLAG_COLUMNS, Flag
from fraudctl.recount.instants import INFINITY_US
from fraudctl.recount.ledger import Batch, read_intake, read_offsets
from fraudctl.recount.letters import Letter
from fraudctl.recount.windows import Totals, WindowKey

_ROWS_AT_A_TIME = 5_000


@dataclass(frozen=True)
class Snapshot:
    """The results of the pipeline as of one instant, in memory."""

    metrics: dict[WindowKey, Totals]
    batches: tuple[Batch, ...]
    dead_letters: dict[Place, Letter]
    alerts: dict[str, Alert] = field(default_factory=dict)  # by digest of the transaction
    rule_sets: dict[str, str] = field(default_factory=dict)  # documents as JSON, by digest
    flags: dict[FlagKey, Flag] = field(default_factory=dict)  # by partition and digest of the transaction

    @property
    def reasons(self) -> dict[Place, str]:
        """Return the reason of each rejected record, by (topic, partition, offset)."""
        return {place: letter.reason for place, letter in self.dead_letters.items()}


class SnapshotReader:
    """A reader of all tables as of one instant; it reads long tables row by row, in bounded memory."""

    def __init__(self, connection: Connection, tolerant: bool) -> None:
        """Read over an open transaction.

        Args:
            connection: a connection with the isolation level REPEATABLE READ.
            tolerant: accept ledger rows of the wrong shape, and list their errors in `flaws`.
        """
        self._connection = connection
        self._tolerant = tolerant

    def batches(self) -> tuple[Batch, ...]:
        """Return the rows of the ledger.

        Raises:
            DataError: a row has the wrong shape, and the reader is not tolerant.
        """
        return tuple(_batch(row, self._tolerant) for row in self._rows(statement("snapshot_ledger")))

    def rule_sets(self) -> dict[str, str]:
        """Return the rules documents as JSON, by digest."""
        return {row[0]: row[1] for row in self._rows(statement("snapshot_rule_sets"))}

    def metrics(self) -> Iterator[tuple[WindowKey, Totals]]:
        """Yield the windows with their totals."""
        for row in self._rows(statement("snapshot_metrics")):
            yield WindowKey(_instant(row[0]), _instant(row[1]), row[2]), Totals(*row[3:])

    def dead_letters(self) -> Iterator[tuple[Place, Letter]]:
        """Yield the dead letters by (topic, partition, offset), in this order."""
        for row in self._rows(statement("snapshot_dead_letters")):
            yield (row[0], row[1], row[2]), Letter(row[3], _instant(row[4]), *row[5:])

    def alerts(self) -> Iterator[tuple[str, Alert]]:
        """Yield the alerts, each with the digest of its transaction."""
        for row in self._rows(statement("snapshot_alerts")):
            yield row[0], _alert(row)

    def flags(self) -> Iterator[tuple[FlagKey, Flag]]:
        """Yield the flags, each with the partition and digest of its transaction."""
        for row in self._rows(statement("snapshot_flags")):
            yield (row[0], row[1]), _flag(row)

    def any_rows(self) -> bool:
        """Return True if there is a dead letter, an alert or a flag."""
        return any(True for rows in (self.dead_letters(), self.alerts(), self.flags()) for _ in rows)

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        # A server-side cursor: otherwise psycopg would hold the whole table in memory.
        with self._connection.cursor("snapshot") as cursor:
            cursor.itersize = _ROWS_AT_A_TIME
            yield from cursor.execute(query.encode())


@contextmanager
def open_snapshot(
    endpoint: PostgresEndpoint, *, connect_seconds: float, tolerant: bool = False
) -> Iterator[SnapshotReader]:
    """Open one REPEATABLE READ, READ ONLY transaction to read all tables in.

    Args:
        endpoint: the database and the user to connect as.
        connect_seconds: time limit for opening the connection, in seconds.
        tolerant: accept ledger rows of the wrong shape, and list their errors in `flaws`.

    Raises:
        RefusedError: the database has not been migrated.
        DataError: a row cannot be what the detector wrote.
        UnreachableError: PostgreSQL does not answer, or the connection was lost.
        ConfigError: PostgreSQL refuses the connection.
    """
    with connect(endpoint, application="fraudctl-verify", timeout_seconds=connect_seconds) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        try:
            yield SnapshotReader(connection, tolerant)
        except (sqlstate.UndefinedTable, sqlstate.UndefinedColumn, sqlstate.InvalidSchemaName) as error:
            raise RefusedError(
                "the database does not have the pipeline's tables",
                detail=str(error).strip(),
                hint="run `fraudctl migrate`",
            ) from error
        except psycopg.Error as error:
            if connection.broken:
                raise UnreachableError(
                    "the connection was lost while the snapshot was read",
                    detail=str(error).strip(),
                    hint="look at `fraudctl status`, then ask again",
                ) from error
            raise refusal(error, "the landed rows cannot be read") from error


def read_snapshot(endpoint: PostgresEndpoint, *, connect_seconds: float) -> Snapshot:
    """Read all tables as of one instant into memory.

    Raises:
        RefusedError: the database has not been migrated.
        DataError: a row cannot be what the detector wrote.
        UnreachableError: PostgreSQL does not answer, or the connection was lost.
        ConfigError: PostgreSQL refuses the connection.
    """
    with open_snapshot(endpoint, connect_seconds=connect_seconds) as reader:
        return Snapshot(
            dict(reader.metrics()),
            reader.batches(),
            dict(reader.dead_letters()),
            dict(reader.alerts()),
            reader.rule_sets(),
            dict(reader.flags()),
        )


def _instant(text: str) -> int:
    """Return microseconds since 1970; infinity becomes a number that no real time has."""
    if text.endswith("Infinity"):
        return -INFINITY_US if text.startswith("-") else INFINITY_US
    return int(text)


def _alert(row: tuple[Any, ...]) -> Alert:
    values = list(row[1:])
    for place in (Alert._fields.index("event_time_us"), Alert._fields.index("arrival_us")):
        values[place] = _instant(values[place])
    return Alert._make(values)


def _flag(row: tuple[Any, ...]) -> Flag:
    values = list(row[2:])
    for place in (FLAG_COLUMNS.index("event_time_us"), FLAG_COLUMNS.index("arrival_us")):
        values[place] = _instant(values[place])
    return Flag(*values)


def _batch(row: tuple[Any, ...], tolerant: bool) -> Batch:
    query_id, batch_id, epoch, cluster_id, topic, topic_id, offsets, intake, watermark, mark, *rest = row
    ranges, range_flaws = read_offsets(offsets)
    counts, count_flaws = read_intake(intake)
    flaws = range_flaws + count_flaws
    if flaws and not tolerant:
        raise DataError(
            f"the ledger's row for batch {batch_id} of query {query_id} cannot be read",
            detail="\n".join(
                f"{flaw.kind}: expected {flaw.expected}, stored {flaw.stored}" for flaw in flaws
            ),
            hint="somebody else than the detector wrote to fraud.batch_ledger;"
            " `fraudctl verify-idempotency` names every row that does not agree",
        )
    replays, rule_set = rest
    return Batch(
        query_id=query_id,
        batch_id=batch_id,
        epoch=epoch,
        cluster_id=cluster_id,
        topic=topic,
        topic_id=topic_id,
        offsets=ranges,
        intake=counts,
        watermark_us=_instant(watermark),
        fingerprint=mark,
        replays=replays,
        flaws=flaws,
        rule_set=rule_set,
    )
