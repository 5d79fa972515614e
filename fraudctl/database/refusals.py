"""What the database refuses, in words that say whose turn it is."""

import psycopg
from psycopg import errors as sqlstate

from fraudctl.config.endpoints import MIGRATOR
from fraudctl.errors import DataError, FraudctlError, RefusedError, UnreachableError


def refusal(
    error: Exception, what: str = "the database refuses what was asked of it"
) -> FraudctlError | None:
    """Return what an error of the database means for a user; None if it is none of the database's.

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
    if isinstance(error, psycopg.Error):
        return DataError(what, detail=detail, hint="check the schema with `fraudctl migrate --check`")
    return None
