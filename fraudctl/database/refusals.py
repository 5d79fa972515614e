"""Errors of the database, translated for users: what happened, and what to do about it."""

import psycopg
from psycopg import errors as sqlstate

from fraudctl.config.endpoints import MIGRATOR
from fraudctl.errors import DataError, FraudctlError, RefusedError, UnreachableError


def refusal(error: psycopg.Error, what: str = "the database refuses what was asked") -> FraudctlError:
    """Return what an error of the database means for a user.

    Args:
        error: what the driver raised.
        what: the message where neither rights nor a replica nor a lost connection is the cause.
    """
    detail = str(error).strip()
    if isinstance(error, sqlstate.InsufficientPrivilege):
        return RefusedError(
            "the user of the database may not do what was asked",
            detail=detail,
            hint=f"let postgres.user be {MIGRATOR}, or another member of fraud_owner",
        )
    if isinstance(error, sqlstate.ReadOnlySqlTransaction):
        return RefusedError(
            "the database takes no changes",
            detail=detail,
            hint="let postgres.host and postgres.port name the primary server: a replica can only be read",
        )
    if isinstance(error, psycopg.OperationalError):
        return UnreachableError(
            "the database failed while it was asked",
            detail=detail,
            hint="try again once `fraudctl status` says that it runs",
        )
    return DataError(what, detail=detail, hint="check the schema with `fraudctl migrate --check`")


def expected_refusal(error: Exception) -> FraudctlError | None:
    """Return the same for an error that a server can cause; None for a bug of this program.

    Wrong rights, a replica, a lost connection and a missing migration come from outside. Anything else that
    PostgreSQL rejects, such as a syntax error, is a bug and must keep its traceback.
    """
    outside = (
        psycopg.OperationalError,
        sqlstate.InsufficientPrivilege,
        sqlstate.ReadOnlySqlTransaction,
        sqlstate.UndefinedTable,
        sqlstate.UndefinedColumn,
        sqlstate.InvalidSchemaName,
    )
    return refusal(error) if isinstance(error, outside) else None
