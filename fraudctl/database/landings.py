"""How often batches have landed, asked again and again, also while the database comes and goes."""

from dataclasses import dataclass
from datetime import datetime

import psycopg

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import Connection, connect
from fraudctl.database.statements import statement


@dataclass(frozen=True)
class Landings:
    """`again` counts repetitions, which change nothing; `since` only batches that began after the instant."""

    batches: int
    again: int
    since: int

    @property
    def total(self) -> int:
        return self.batches + self.again


class LandingsReader:
    """One read-only connection, opened anew when it was lost; use as a context manager."""

    def __init__(self, endpoint: PostgresEndpoint, *, connect_seconds: float) -> None:
        self._endpoint = endpoint
        self._connect_seconds = connect_seconds
        self._connection: Connection | None = None

    def __enter__(self) -> "LandingsReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    def look(self, since: datetime) -> Landings:
        """The ledger's count as it is now.

        Raises:
            UnreachableError, ConfigError: there is no connection to be had.
        """
        if self._connection is not None:
            try:
                return self._ask(self._connection, since)
            except psycopg.OperationalError:
                self._close()  # of a server that was killed: a new one may be there
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
