"""Check that the PostgreSQL server answers, and create the application's database."""

from dataclasses import replace

import psycopg
from psycopg import sql

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import connect

# A connection to some database is needed to create another one; every server has this one.
_MAINTENANCE = "postgres"
_APPLICATION = "fraudctl-up"


def probe_server(endpoint: PostgresEndpoint, *, timeout_seconds: float) -> None:
    """Check that the server answers a query; the application's database need not exist.

    Raises:
        UnreachableError: nothing answers in time.
        ConfigError: the server refuses the user or the password.
    """
    with connect(
        replace(endpoint, database=_MAINTENANCE), application=_APPLICATION, timeout_seconds=timeout_seconds
    ) as connection:
        connection.execute("SELECT 1")


def ensure_database(endpoint: PostgresEndpoint, *, timeout_seconds: float) -> bool:
    """Create the endpoint's database unless it exists; return True if this call created it.

    Raises:
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
    """
    with connect(
        replace(endpoint, database=_MAINTENANCE),
        application=_APPLICATION,
        timeout_seconds=timeout_seconds,
        autocommit=True,
    ) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(query, (endpoint.database,)).fetchone() is not None:
            return False
        name = sql.Identifier(endpoint.database)
        try:
            connection.execute(sql.SQL("CREATE DATABASE {} ENCODING 'UTF8'").format(name))
        except psycopg.errors.DuplicateDatabase:
            return False  # another process created it just now
        connection.execute(sql.SQL("ALTER DATABASE {} SET timezone TO 'UTC'").format(name))
        return True
