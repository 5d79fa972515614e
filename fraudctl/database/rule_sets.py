"""The rules in force, and every version of them that ever was."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors as sqlstate
from psycopg.types.json import Jsonb

from fraudctl.config.endpoints import MIGRATOR, PostgresEndpoint
from fraudctl.database.connection import Connection, asking
from fraudctl.database.statements import statement
from fraudctl.errors import DataError, RefusedError


@dataclass(frozen=True)
class StoredRules:
    """A version of the rules as it was stored: `fraudctl.rules` gives the document its meaning."""

    digest: str
    document: dict[str, Any]
    since: datetime | None = None


def begin(connection: Connection, digest: str, document: dict[str, Any]) -> StoredRules:
    """Put these rules in force if none are yet; returns those that are."""
    row = connection.execute(statement("rules_active")).fetchone()
    if row is None:
        connection.execute(statement("rules_record"), {"digest": digest, "document": Jsonb(document)})
        connection.execute(statement("rules_begin"), {"digest": digest})
        row = connection.execute(statement("rules_active")).fetchone()
    assert row is not None, "there is one since the line before"
    return _stored(*row)


def wanted(connection: Connection, query_id: str, batch_id: int, known: str) -> StoredRules | None:
    """The rules that a batch must be judged by; None where they are the known ones, or there are none."""
    row = connection.execute(
        statement("rules_wanted"), {"query_id": query_id, "batch_id": batch_id, "known": known}
    ).fetchone()
    return None if row is None else _stored(*row)


def active(endpoint: PostgresEndpoint, *, connect_seconds: float) -> StoredRules | None:
    """The rules in force; None before the first detector has begun, or without the tables.

    Raises:
        UnreachableError, ConfigError: there is no connection to be had.
    """
    with asking(endpoint, application="fraudctl rules", timeout_seconds=connect_seconds) as connection:
        try:
            row = connection.execute(statement("rules_active")).fetchone()
        except (sqlstate.UndefinedTable, sqlstate.InvalidSchemaName):
            return None
    return None if row is None else _stored(*row)


def apply(
    endpoint: PostgresEndpoint, digest: str, document: dict[str, Any], *, connect_seconds: float
) -> bool:
    """Put these rules in force, from the detector's next batch on; False if they are already.

    Raises:
        RefusedError: the database was not migrated, or the user may not do this.
        UnreachableError, ConfigError: there is no connection to be had.
    """
    with asking(endpoint, application="fraudctl rules", timeout_seconds=connect_seconds) as connection:
        try:
            return put(connection, digest, document)
        except (sqlstate.UndefinedTable, sqlstate.InvalidSchemaName) as error:
            raise RefusedError(
                "the database does not have the table of rules", hint="run `fraudctl migrate`"
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise RefusedError(
                f"user {endpoint.user!r} may not change the rules in force",
                detail=str(error).strip(),
                hint=f"let postgres.user be {MIGRATOR}, or another member of fraud_owner",
            ) from error


def put(connection: Connection, digest: str, document: dict[str, Any]) -> bool:
    """As `apply`, on a connection that is there."""
    connection.execute(statement("rules_record"), {"digest": digest, "document": Jsonb(document)})
    return connection.execute(statement("rules_apply"), {"digest": digest}).rowcount > 0


def _stored(digest: str, document: dict[str, Any] | None, since: datetime | None = None) -> StoredRules:
    if document is None:
        raise DataError(
            f"the rule set {digest} is in force, but its document is not in the table of rules",
            hint="put rules in force again with `fraudctl rules apply FILE`",
        )
    return StoredRules(digest, document, since)
