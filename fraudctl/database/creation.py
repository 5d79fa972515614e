"""The application's database: does the server answer, and does the database exist."""

from dataclasses import replace

import psycopg
from psycopg import sql

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import connect

# Every server has it; one must be connected to some database to create another.
_MAINTENANCE = "postgres"
_APPLICATION = "fraudctl-up"


def probe_server(endpoint: PostgresEndpoint, *, timeout_seconds: float) -> None:
    """Return as soon as the server has answered a query; the application's database need not exist.

    Raises:
        UnreachableError: nothing answers in time.
        ConfigError: the server refuses the user or the password.
    """
    with connect(
        replace(endpoint, database=_MAINTENANCE), application=_APPLICATION, timeout_seconds=timeout_seconds
    ) as connection:
        connection.execute("SELECT 1")


def ensure_database(endpoint: PostgresEndpoint, *, timeout_seconds: float) -> bool:
    """Create the endpoint's database unless it exists; True if this call created it.

    Raises:
        UnreachableError, ConfigError: there is no connection to be had.
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
            return False  # somebody else created it just now
        connection.execute(sql.SQL("ALTER DATABASE {} SET timezone TO 'UTC'").format(name))
        return True
