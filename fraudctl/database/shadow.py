"""The shadow: a schema beside the live one, with the same tables, in which a replay lands.

It is made anew for every replay, from the live tables as they are, so it follows every migration by itself.
What the replay found can then take the place of live rows, in one transaction each: a reader sees the rows
from before or those from after.
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

# Also written out in sql/queries/shadow_*.sql.
SCHEMA = REPLAY.schema
# What a rebuild replaces as a whole.
_REPLACED = ("fraud_metrics", "batch_ledger", "dead_letters", "fraud_alerts", "fraud_flags")
# How long one statement may wait for a merge that is at work.
_LOCK_SECONDS = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Result = TypeVar("Result")


def endpoint_of(live: PostgresEndpoint) -> PostgresEndpoint:
    """Where the shadow of these tables is."""
    return replace(live, schema=SCHEMA)


class Shadow:
    """The shadow of one database; every method is a transaction on a connection of its own.

    All of them raise:
        RefusedError: the database has not been migrated.
        UnreachableError, ConfigError: there is no connection to be had, or it was lost.
    """

    def __init__(self, live: PostgresEndpoint, *, connect_seconds: float) -> None:
        self._live = live
        self._connect_seconds = connect_seconds

    def create(self) -> None:
        """Make it anew and empty: every table of the live schema, and a lease that nobody has."""

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
        """Remove it, if it is there."""
        self._transaction(self._drop)

    def swap_windows(self, begin_us: int, finish_us: int, *, unless_grown_beyond: int | None) -> int:
        """Put the shadow's windows wholly inside the range in the place of the live ones.

        Args:
            unless_grown_beyond: refuse when the live ledger has another number of rows by now.

        Returns:
            how many rows were changed.
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
        """Put everything in the place of the live rows, as a new epoch; returns that epoch.

        Args:
            rules: digest of the rules that judged everything; they are in force from now on.

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
        """Move all that has landed into a schema of its own, as a new epoch; the live tables are then empty.

        Returns:
            the schema's name: the live one's with the first free number; empty where nothing had landed.

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
