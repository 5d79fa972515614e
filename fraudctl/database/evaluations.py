"""Store evaluations of the rules, for dashboards and later comparison."""

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
    """Insert one evaluation: its columns by name, and the whole of it as a JSON document.

    Args:
        endpoint: the database and the user to connect as.
        row: value of each column, by name.
        document: the whole evaluation.
        connect_seconds: time limit for opening the connection, in seconds.

    Raises:
        RefusedError: the database was not migrated, or the user may not do this.
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
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
