"""Read the alerts in PostgreSQL, and send each of them to its topic once."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import psycopg

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database import lease
from fraudctl.database.connection import Connection, connect
from fraudctl.database.statements import statement
from fraudctl.errors import UnreachableError

Result = TypeVar("Result")


@dataclass(frozen=True)
class LandedAlert:
    """One row of fraud_alerts; `rules` are the ids of the rules that matched, amounts are in minor units."""

    digest: str
    transaction_id: str
    card_id: str
    merchant_id: str
    event_time: datetime
    category: str
    amount_minor: int
    currency: str
    country: str
    channel: str
    arrival: datetime
    rule_set: str
    score: int
    rules: tuple[str, ...]
    landed_at: datetime
    published_at: datetime | None


@dataclass(frozen=True)
class AlertFigures:
    """The number of alerts and their latencies.

    Latencies are in seconds, as (p50, p99); None if there is nothing to measure.
    """

    alerts: int
    published: int
    landing_seconds: tuple[float, float] | None  # from arrival to the table
    publishing_seconds: tuple[float, float] | None  # from the table to the acknowledged message


class AlertReader:
    """One read-only connection; use it as a context manager."""

    def __init__(self, endpoint: PostgresEndpoint, *, connect_seconds: float) -> None:
        """Open the connection.

        Args:
            endpoint: the database and the user to connect as.
            connect_seconds: time limit for opening the connection, in seconds.
        """
        self._connection = connect(
            endpoint,
            application="fraudctl alerts",
            timeout_seconds=connect_seconds,
            autocommit=True,
            options={"default_transaction_read_only": "on"},
        )

    def __enter__(self) -> "AlertReader":
        """Return the reader itself; the connection is open already."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connection."""
        self._connection.close()

    def newest(self, *, since: datetime | None, rule: str | None, limit: int | None) -> list[LandedAlert]:
        """Return the alerts that were written last, newest first.

        Args:
            since: only alerts that were written to the table at this time or later; None for all.
            rule: only alerts that the rule with this id matches; None for all.
            limit: at most this number of alerts; None for all.
        """
        rows = self._connection.execute(
            statement("alerts_newest"), {"since": since, "rule": rule, "limit": limit}
        ).fetchall()
        return [_alert(row) for row in rows]

    def figures(self, *, since: datetime | None, rule: str | None) -> AlertFigures:
        """Return the number and the latencies of the alerts.

        Args:
            since: only alerts that were written to the table at this time or later; None for all.
            rule: only alerts that the rule with this id matches; None for all.
        """
        row = self._connection.execute(statement("alerts_latency"), {"since": since, "rule": rule}).fetchone()
        assert row is not None, "an aggregate always has a row"
        return AlertFigures(row[0], row[1], _pair(row[2]), _pair(row[3]))

    def rule_sets(self) -> dict[str, dict[str, Any]]:
        """Return the document of every version of the rules, by digest."""
        return rule_sets(self._connection)


class Outbox:
    """The alerts that are still to be sent, over a connection that is reopened after it was lost.

    Every method but `close` can raise the errors below.

    Raises:
        FencedError: another detector has become the writer, and so the sender.
        UnreachableError: the database does not answer, or failed.
        ConfigError: PostgreSQL refuses the connection.
    """

    def __init__(self, endpoint: PostgresEndpoint, epoch: int, *, connect_seconds: float) -> None:
        """Prepare the outbox; nothing is connected yet.

        Args:
            endpoint: the database and the user to connect as.
            epoch: the epoch of the sender.
            connect_seconds: time limit for the connection and each statement, in seconds.
        """
        self._endpoint = endpoint
        self._epoch = epoch
        self._connect_seconds = connect_seconds
        self._connection: Connection | None = None

    def unpublished(self, limit: int) -> list[LandedAlert]:
        """Return the `limit` oldest alerts that are still to be sent."""

        def work(connection: Connection) -> list[tuple[Any, ...]]:
            rows = connection.execute(statement("alerts_unpublished"), {"limit": limit}).fetchall()
            if rows:
                lease.beat(connection, self._epoch)
            return rows

        return [_alert(row) for row in self._work(work)]

    def published(self, digests: Sequence[str]) -> None:
        """Record that the broker has acknowledged the alerts with these digests."""

        def work(connection: Connection) -> None:
            lease.beat(connection, self._epoch)
            connection.execute(statement("alerts_published"), {"digests": list(digests)})

        self._work(work)

    def rule_sets(self) -> dict[str, dict[str, Any]]:
        """Return the document of every version of the rules, by digest."""
        return self._work(rule_sets)

    def close(self) -> None:
        """Close the connection if one is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _work(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in one transaction, and connect first if necessary."""
        if self._connection is None:
            self._connection = connect(
                self._endpoint,
                application="fraudctl alerts",
                timeout_seconds=self._connect_seconds,
                options={"idle_in_transaction_session_timeout": f"{self._connect_seconds * 1000:.0f}"},
                statement_seconds=self._connect_seconds,
            )
        try:
            with self._connection.transaction():
                return work(self._connection)
        except psycopg.Error as error:
            self.close()
            raise UnreachableError(
                "the database failed while alerts were being sent on", detail=str(error).strip()
            ) from error


def rule_sets(connection: Connection) -> dict[str, dict[str, Any]]:
    """Return the document of every version of the rules, by digest."""
    rows = connection.execute(statement("snapshot_rule_sets")).fetchall()
    return {digest: json.loads(document) for digest, document in rows}


def _alert(row: tuple[Any, ...]) -> LandedAlert:
    values = dict(zip(LandedAlert.__dataclass_fields__, row, strict=True))
    return LandedAlert(**values | {"rules": tuple(values["rules"])})


def _pair(values: list[float | None] | None) -> tuple[float, float] | None:
    if values is None or values[0] is None or values[1] is None:
        return None
    return values[0], values[1]
