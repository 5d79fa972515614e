"""A hash of the pipeline's results, to tell whether any of them has changed."""

import hashlib

from psycopg import IsolationLevel

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import connect
from fraudctl.database.statements import statement


def content_hash(endpoint: PostgresEndpoint, *, connect_seconds: float) -> str:
    """Return the SHA-256 of the ordered rows of windows, dead letters, alerts and flags, without write times.

    Raises:
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
    """
    digest = hashlib.sha256()
    with connect(endpoint, application="fraudctl replay", timeout_seconds=connect_seconds) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        for query in (
            statement("dump_metrics"),
            statement("dump_dead_letters"),
            statement("dump_alerts"),
            statement("dump_flags"),
        ):
            with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT".encode()) as rows:
                for block in rows:
                    digest.update(block)
            digest.update(b"\0")
    return digest.hexdigest()
