"""Keep evaluations, for dashboards and for whoever compares them later."""

from collections.abc import Mapping

from psycopg import errors as sqlstate
from psycopg.types.json import Jsonb

from fraudctl.config.endpoints import MIGRATOR, PostgresEndpoint
from fraudctl.database.connection import asking
from fraudctl.database.statements import statement
from fraudctl.errors import RefusedError


def store(
    endpoint: PostgresEndpoint,
    row: Mapping[str, object],
    document: Mapping[str, object],
    *,
    connect_seconds: float,
) -> None:
    """Add one evaluation: its columns by name, and all of it as data.

    Raises:
        RefusedError: the database was not migrated, or the user may not do this.
        UnreachableError, ConfigError: there is no connection to be had.
    """
    with asking(endpoint, application="fraudctl evaluate", timeout_seconds=connect_seconds) as connection:
        try:
            connection.execute(statement("evaluations_insert"), {**row, "document": Jsonb(dict(document))})
        except (sqlstate.UndefinedTable, sqlstate.InvalidSchemaName) as error:
            raise RefusedError(
                "the database does not have the table of evaluations", hint="run `fraudctl migrate`"
            ) from error
        except sqlstate.InsufficientPrivilege as error:
            raise RefusedError(
                f"user {endpoint.user!r} may not store evaluations",
                detail=str(error).strip(),
                hint=f"let postgres.user be {MIGRATOR}, or another member of fraud_owner",
            ) from error
