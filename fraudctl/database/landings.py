"""Poll the ledger for the number of processed batches, also while the database is down at times."""

from dataclasses import dataclass
from datetime import datetime

import psycopg

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import Connection, connect
from fraudctl.database.statements import statement


@dataclass(frozen=True)
class Landings:
    """The number of batches in the ledger.

    `again` counts repeated batches, which change nothing; `since` counts batches that were committed after
    the given instant.
    """

    batches: int
    again: int
    since: int

    @property
    def total(self) -> int:
        """Return the number of batches, repetitions included."""
        return self.batches + self.again


class LandingsReader:
    """One read-only connection that is reopened after it was lost; use it as a context manager."""

    def __init__(self, endpoint: PostgresEndpoint, *, connect_seconds: float) -> None:
        """Prepare the reader; the first `look` connects.

        Args:
            endpoint: the database and the user to connect as.
            connect_seconds: time limit for opening a connection, in seconds.
        """
        self._endpoint = endpoint
        self._connect_seconds = connect_seconds
        self._connection: Connection | None = None

    def __enter__(self) -> "LandingsReader":
        """Return the reader itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connection if one is open."""
        self._close()

    def look(self, since: datetime) -> Landings:
        """Return the current counts of the ledger.

        Raises:
            UnreachableError: PostgreSQL does not answer.
            ConfigError: PostgreSQL refuses the connection.
        """
        if self._connection is not None:
            try:
                return self._ask(self._connection, since)
            except psycopg.OperationalError:
                self._close()  # the server was killed; it may have been started again
        self._connection = connect(
            self._endpoint,
            application="fraudctl drill",
            timeout_seconds=self._connect_seconds,
            autocommit=True,
            options={"default_transaction_read_only": "on"},
        )
        return self._ask(self._connection, since)

    def _ask(self, connection: Connection, since: datetime) -> Landings:
        row = connection.execute(statement("ledger_landings"), {"since": since}).fetchone()
        assert row is not None, "an aggregate always has a row"
        return Landings(*row)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
