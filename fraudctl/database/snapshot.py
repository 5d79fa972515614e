"""What has been landed, as of one instant: windows, ledger and dead letters from one snapshot."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg import errors as sqlstate

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import Connection, connect
from fraudctl.database.statements import statement
from fraudctl.errors import DataError, RefusedError, UnreachableError
from fraudctl.recount.compare import Place
from fraudctl.recount.ledger import Batch
from fraudctl.recount.windows import Totals, WindowKey


@dataclass(frozen=True)
class Snapshot:
    metrics: dict[WindowKey, Totals]
    batches: tuple[Batch, ...]
    dead_letters: dict[Place, str]


def read_snapshot(endpoint: PostgresEndpoint, *, connect_seconds: float) -> Snapshot:
    """Read all three tables in one REPEATABLE READ, READ ONLY transaction.

    Raises:
        RefusedError: the database has not been migrated.
        DataError: a row cannot be what the detector wrote.
        UnreachableError, ConfigError: there is no connection to be had.
    """
    with connect(endpoint, application="fraudctl-verify", timeout_seconds=connect_seconds) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        try:
            return Snapshot(
                {
                    WindowKey(*row[:3]): Totals(*row[3:])
                    for row in _rows(connection, statement("snapshot_metrics"))
                },
                tuple(_batch(row) for row in _rows(connection, statement("snapshot_ledger"))),
                {
                    (row[0], row[1], row[2]): row[3]
                    for row in _rows(connection, statement("snapshot_dead_letters"))
                },
            )
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
            raise DataError("the landed rows cannot be read", detail=str(error).strip()) from error


def _rows(connection: Connection, query: str) -> Iterator[tuple[Any, ...]]:
    return iter(connection.execute(query.encode()))


def _batch(row: tuple[Any, ...]) -> Batch:
    query_id, batch_id, epoch, cluster_id, topic, topic_id, offsets, intake, watermark_us, *rest = row
    try:
        ranges = {int(partition): (int(start), int(end)) for partition, (start, end) in offsets.items()}
        counts = {
            int(partition): {reason: int(number) for reason, number in own.items()}
            for partition, own in intake.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"the ledger's row for batch {batch_id} of query {query_id} cannot be read",
            detail=f"offsets {offsets}, intake {intake}: {error}",
            hint="somebody else than the detector wrote to fraud.batch_ledger",
        ) from error
    return Batch(query_id, batch_id, epoch, cluster_id, topic, topic_id, ranges, counts, watermark_us, *rest)
