"""The door to PostgreSQL: every connection of fraudctl is opened here."""

from typing import Any

import psycopg

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.errors import ConfigError, UnreachableError

Connection = psycopg.Connection[Any]


def connect(
    endpoint: PostgresEndpoint,
    *,
    application: str,
    timeout_seconds: float,
    autocommit: bool = False,
    options: dict[str, str] | None = None,
) -> Connection:
    """Open one connection, in UTC and the endpoint's schema, with `options` as session settings.

    Raises:
        UnreachableError: nothing answers at the address in time, or the server is starting or stopping.
        ConfigError: the server answers and refuses the user, the password or the database.
    """
    settings = {"timezone": "UTC", "search_path": endpoint.schema, **(options or {})}
    try:
        return psycopg.connect(
            host=endpoint.host,
            port=endpoint.port,
            dbname=endpoint.database,
            user=endpoint.user,
            password=endpoint.password(),
            application_name=application,
            connect_timeout=max(1, round(timeout_seconds)),
            autocommit=autocommit,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
            tcp_user_timeout=round(timeout_seconds * 1000),
        )
    except psycopg.OperationalError as error:
        where = f"{endpoint.host}:{endpoint.port}"
        text = str(error).strip()
        # libpq gives no SQLSTATE for a refused login before psycopg 3.3 has a connection object.
        if any(sign in text for sign in ("authentication failed", "does not exist", "no pg_hba.conf entry")):
            raise ConfigError(
                f"PostgreSQL at {where} refuses user {endpoint.user!r} on database {endpoint.database!r}",
                detail=text,
                hint="check postgres.user, postgres.database and postgres.password_file",
            ) from error
        raise UnreachableError(
            f"PostgreSQL does not answer at {where}",
            detail=text,
            hint="start it with `fraudctl up`, or look at `fraudctl status`",
        ) from error
