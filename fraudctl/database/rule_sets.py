"""The active rules and all earlier versions of the rules in PostgreSQL."""

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
    """A stored version of the rules; `fraudctl.rules` parses its document."""

    digest: str
    document: dict[str, Any]
    since: datetime | None = None


def begin(connection: Connection, digest: str, document: dict[str, Any]) -> StoredRules:
    """Activate these rules if none are active yet; return the active rules."""
    row = connection.execute(statement("rules_active")).fetchone()
    if row is None:
        connection.execute(statement("rules_record"), {"digest": digest, "document": Jsonb(document)})
        connection.execute(statement("rules_begin"), {"digest": digest})
        row = connection.execute(statement("rules_active")).fetchone()
    assert row is not None, "there is one since the line before"
    return _stored(*row)


def wanted(connection: Connection, query_id: str, batch_id: int, known: str) -> StoredRules | None:
    """Return the rules that must evaluate a batch; None if these are the known ones, or if there are none.

    Args:
        connection: an open connection.
        query_id: Spark's id of the query.
        batch_id: number of the batch.
        known: digest of the rules that the caller has.
    """
    row = connection.execute(
        statement("rules_wanted"), {"query_id": query_id, "batch_id": batch_id, "known": known}
    ).fetchone()
    return None if row is None else _stored(*row)


def active(endpoint: PostgresEndpoint, *, connect_seconds: float) -> StoredRules | None:
    """Return the active rules; None before the first start of a detector, or without the tables.

    Raises:
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
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
    """Activate these rules from the detector's next batch on; return False if they are active already.

    Raises:
        RefusedError: the database was not migrated, or the user may not do this.
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
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
    """Activate these rules like `apply`, but over an open connection."""
    connection.execute(statement("rules_record"), {"digest": digest, "document": Jsonb(document)})
    return connection.execute(statement("rules_apply"), {"digest": digest}).rowcount > 0


def _stored(digest: str, document: dict[str, Any] | None, since: datetime | None = None) -> StoredRules:
    if document is None:
        raise DataError(
            f"the rule set {digest} is in force, but its document is not in the table of rules",
            hint="put rules in force again with `fraudctl rules apply FILE`",
        )
    return StoredRules(digest, document, since)
