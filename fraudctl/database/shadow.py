"""The shadow schema: the live schema's tables once more, for a replay to write to.

It is created again for every replay from the live tables, so it follows every migration by itself. The
results of the replay can then replace live rows, each time in one transaction: a reader sees either the old
rows or the new ones.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import psycopg
from psycopg import errors as sqlstate
from psycopg import sql

from fraudctl.config.endpoints import MIGRATOR, PostgresEndpoint
from fraudctl.config.lane import REPLAY
from fraudctl.database import lease
from fraudctl.database.connection import Connection, connect
from fraudctl.database.lease import Holder
from fraudctl.database.statements import statement
from fraudctl.errors import RefusedError, UnreachableError

# The files sql/queries/shadow_*.sql contain this name as well.
SCHEMA = REPLAY.schema
# The tables that a rebuild replaces as a whole.
_REPLACED = ("fraud_metrics", "batch_ledger", "dead_letters", "fraud_alerts", "fraud_flags")
# How long a statement may wait for a running merge.
_LOCK_SECONDS = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Result = TypeVar("Result")


def endpoint_of(live: PostgresEndpoint) -> PostgresEndpoint:
    """Return the endpoint of the shadow schema that belongs to these live tables."""
    return replace(live, schema=SCHEMA)


class Shadow:
    """The shadow schema of one database; every method is a transaction on a connection of its own.

    Every method can raise the errors below.

    Raises:
        RefusedError: the database has not been migrated.
        UnreachableError: PostgreSQL does not answer, or the connection was lost.
        ConfigError: PostgreSQL refuses the connection.
    """

    def __init__(self, live: PostgresEndpoint, *, connect_seconds: float) -> None:
        """Remember the live tables; nothing is connected yet.

        Args:
            live: the live schema, and a user who may replace its rows.
            connect_seconds: time limit for opening a connection, in seconds.
        """
        self._live = live
        self._connect_seconds = connect_seconds

    def create(self) -> None:
        """Create or replace the shadow: every table of the live schema, empty, and a free lease."""

        def work(connection: Connection) -> None:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", (self._live.schema,)
            ).fetchall()
            self._drop(connection)
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
            for (table,) in tables:
                connection.execute(
                    sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                        sql.Identifier(SCHEMA, table), sql.Identifier(self._live.schema, table)
                    )
                )
            connection.execute(
                sql.SQL("INSERT INTO {} (pipeline, epoch, holder) VALUES ('detector', 0, '')").format(
                    sql.Identifier(SCHEMA, "pipeline_lease")
                )
            )
            grants = connection.execute(statement("shadow_grants"), {"schema": self._live.schema}).fetchall()
            for (grant,) in grants:
                connection.execute(grant.encode())

        self._transaction(work)

    def drop(self) -> None:
        """Drop the shadow if it exists."""
        self._transaction(self._drop)

    def swap_windows(self, begin_us: int, finish_us: int, *, unless_grown_beyond: int | None) -> int:
        """Replace the live windows that lie entirely inside a range by those of the shadow.

        Args:
            begin_us: start of the range, in microseconds since 1970.
            finish_us: end of the range, in microseconds since 1970.
            unless_grown_beyond: refuse if the live ledger no longer has this number of rows; None skips the
                check.

        Returns:
            The number of changed rows.

        Raises:
            RefusedError: the detector has written batches meanwhile, and windows of the range may still grow.
        """
        span = {
            "begin": _EPOCH + timedelta(microseconds=begin_us),
            "finish": _EPOCH + timedelta(microseconds=finish_us),
        }

        def work(connection: Connection) -> int:
            connection.execute(statement("lease_hold"))
            row = connection.execute(statement("ledger_size")).fetchone()
            size = int(row[0]) if row else 0
            if unless_grown_beyond is not None and size != unless_grown_beyond:
                raise RefusedError(
                    "the detector has landed more meanwhile, and windows of the range may still grow",
                    detail=f"the ledger had {unless_grown_beyond} batches, now it has {size}",
                    hint="choose a range that ends earlier, or stop the detector first",
                )
            removed = connection.execute(statement("shadow_windows_delete"), span).rowcount
            return removed + connection.execute(statement("shadow_windows_merge"), span).rowcount

        return self._transaction(work)

    def replace_live(self, holder: Holder, rules: str) -> int:
        """Replace the live results by those of the shadow, under a new epoch; return that epoch.

        The results are windows, ledger, dead letters, alerts and flags.

        Args:
            holder: who acquires the lease for it.
            rules: digest of the rules that evaluated all batches; they become the active rules.

        Raises:
            RefusedError: a detector holds the lease.
        """

        def work(connection: Connection) -> int:
            epoch = lease.acquire(connection, holder, 0.0)
            connection.execute(statement("shadow_purges"))
            connection.execute(statement("shadow_published"))
            connection.execute(statement("shadow_rule_sets"))
            connection.execute(statement("rules_apply"), {"digest": rules})
            for table in _REPLACED:
                names = sql.Identifier(table), sql.Identifier(SCHEMA, table)
                connection.execute(sql.SQL("DELETE FROM {}").format(names[0]))
                connection.execute(sql.SQL("INSERT INTO {} TABLE {}").format(*names))
            connection.execute(statement("shadow_epoch"), {"epoch": epoch})
            connection.execute(statement("lease_release"), {"epoch": epoch})
            return epoch

        return self._transaction(work)

    def set_aside(self, holder: Holder) -> str:
        """Move the live results to a schema of their own, under a new epoch.

        The results are windows, ledger, dead letters, alerts and flags; their live tables are empty
        afterwards.

        Returns:
            The name of the new schema: the live one's with the first free number. Empty if there was no row.

        Raises:
            RefusedError: a detector holds the lease.
        """

        def work(connection: Connection) -> str:
            epoch = lease.acquire(connection, holder, 0.0)
            aside = self._free_name(connection) if self._has_landed(connection) else ""
            if aside:
                self._move(connection, aside)
            connection.execute(statement("lease_release"), {"epoch": epoch})
            return aside

        return self._transaction(work)

    @staticmethod
    def _has_landed(connection: Connection) -> bool:
        filled = sql.SQL(" OR ").join(
            sql.SQL("EXISTS (TABLE {})").format(sql.Identifier(table)) for table in _REPLACED
        )
        row = connection.execute(sql.SQL("SELECT {}").format(filled)).fetchone()
        return row is not None and bool(row[0])

    @staticmethod
    def _move(connection: Connection, schema: str) -> None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        for table in _REPLACED:
            live, kept = sql.Identifier(table), sql.Identifier(schema, table)
            connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(kept, live))
            connection.execute(sql.SQL("INSERT INTO {} TABLE {}").format(kept, live))
            connection.execute(sql.SQL("DELETE FROM {}").format(live))

    def _free_name(self, connection: Connection) -> str:
        taken = {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace").fetchall()}
        number = 1
        while (name := f"{self._live.schema}_generation_{number}") in taken:
            number += 1
        return name

    @staticmethod
    def _drop(connection: Connection) -> None:
        connection.execute("SET LOCAL client_min_messages = warning")
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))

    def _transaction(self, work: Callable[[Connection], Result]) -> Result:
        options = {"synchronous_commit": "on", "lock_timeout": f"{_LOCK_SECONDS}s"}
        try:
            with (
                connect(
                    self._live,
                    application="fraudctl replay",
                    timeout_seconds=self._connect_seconds,
                    options=options,
                ) as connection,
                connection.transaction(),
            ):
                return work(connection)
        except (sqlstate.UndefinedTable, sqlstate.UndefinedColumn) as error:
            raise RefusedError(
                "the database does not have the pipeline's tables",
                detail=str(error).strip(),
                hint="run `fraudctl migrate`",
            ) from error
        except sqlstate.InsufficientPrivilege as error:
            raise RefusedError(
                f"user {self._live.user!r} may not do what a replay needs",
                detail=str(error).strip(),
                hint=f"let postgres.user be {MIGRATOR}, or another member of fraud_owner",
            ) from error
        except psycopg.OperationalError as error:
            raise UnreachableError(
                "the database did not answer, or a table stayed locked, while the replay was at work",
                detail=str(error).strip(),
                hint="the step was done wholly or not at all; run the same command again",
            ) from error
