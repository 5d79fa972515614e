"""Dead letters in PostgreSQL: list, count, purge and requeue them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors as sqlstate

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import connect
from fraudctl.database.refusals import refusal
from fraudctl.database.statements import statement
from fraudctl.errors import FraudctlError, RefusedError, UnreachableError

# Key of the advisory lock that a requeue holds until its session ends, so that only one runs at a time.
_REQUEUE_LOCK = 7_205_419_336


@dataclass(frozen=True)
class Filter:
    """A selection of dead letters; a field that is None does not narrow it.

    Not every query uses every field: see the methods of `DeadLetters`.
    """

    topic: str
    reason: str | None = None
    since: datetime | None = None
    partition: int | None = None
    offset: int | None = None


@dataclass(frozen=True)
class Letter:
    """One rejected record as the detector stored it.

    `payload` holds its first bytes with card numbers masked, and is empty once purged. `payload_bytes` is the
    length of the whole record. `requeued_at` and `requeued_to` (an offset) describe the last requeue.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    arrival: datetime
    recorded_at: datetime
    payload: bytes
    payload_bytes: int
    purged_at: datetime | None
    requeues: int
    requeued_at: datetime | None
    requeued_to: int | None


@dataclass(frozen=True)
class ReasonCount:
    """The number of dead letters with one reason, and how many of them were requeued or purged."""

    reason: str
    letters: int
    requeued: int
    purged: int


@dataclass(frozen=True)
class Claim:
    """A requeue of one dead letter that is recorded as begun.

    `log_end` is the end offset of its partition just before the copy was sent.
    """

    partition: int
    offset: int
    attempt: int
    log_end: int


class DeadLetters:
    """One connection to the dead letter tables; every statement is committed. Use it as a context manager.

    Every method can raise the errors below.

    Raises:
        RefusedError: the database has not been migrated.
        UnreachableError: the connection was lost.
        DataError: PostgreSQL refuses a statement for another reason.
    """

    def __init__(self, endpoint: PostgresEndpoint, *, connect_seconds: float) -> None:
        """Open the connection.

        Args:
            endpoint: the database and the user to connect as.
            connect_seconds: time limit for opening the connection, in seconds.
        """
        self._connection = connect(
            endpoint,
            application="fraudctl deadletters",
            timeout_seconds=connect_seconds,
            autocommit=True,
            options={"synchronous_commit": "on", "lock_timeout": "10s"},
        )
        self._locks_requeues = False

    def __enter__(self) -> "DeadLetters":
        """Return the object itself; the connection is open already."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Release the lock of requeues, if it is held, and close the connection."""
        if self._locks_requeues:
            # The server notices the end of a session a moment later: the next requeue would be refused. Where
            # the connection is lost, its session ends and releases the lock anyway.
            with suppress(FraudctlError):
                self._rows(statement("requeues_unlock"), {"key": _REQUEUE_LOCK})
        self._connection.close()

    def counts(self, which: Filter) -> tuple[ReasonCount, ...]:
        """Count the selected dead letters by reason, the most frequent reason first."""
        rows = self._rows(statement("dead_letters_counts"), _parameters(which))
        return tuple(ReasonCount(*row) for row in rows)

    def newest(self, which: Filter, limit: int | None) -> tuple[Letter, ...]:
        """Return the `limit` newest of the selected dead letters, newest arrival first; all if it is None."""
        rows = self._rows(statement("dead_letters_newest"), {**_parameters(which), "limit": limit})
        return tuple(Letter(*row) for row in rows)

    def now(self) -> datetime:
        """Return the database's current time; `recorded_at` is taken from the same clock."""
        moment: datetime = self._rows(statement("database_clock"), {})[0][0]
        return moment

    def after(
        self, which: Filter, place: tuple[int, int], *, recorded_before: datetime, limit: int
    ) -> tuple[Letter, ...]:
        """Return the next `limit` dead letters after a (partition, offset), in the order of the log.

        Only the `topic` and `reason` of the filter are used.
        """
        narrowed = {"topic": which.topic, "reason": which.reason, "recorded_before": recorded_before}
        behind = {"after_partition": place[0], "after_offset": place[1], "limit": limit}
        rows = self._rows(statement("dead_letters_after"), narrowed | behind)
        return tuple(Letter(*row) for row in rows)

    def purge(self, which: Filter, before: datetime) -> tuple[int, int]:
        """Delete the payloads that were recorded before `before`, but keep the rows.

        Only the `topic` and `reason` of the filter are used.

        Returns:
            The number of purged dead letters, and the number of deleted payload bytes.
        """
        rows = self._rows(statement("dead_letters_purge"), {**_parameters(which), "before": before})
        return int(rows[0][0]), int(rows[0][1])

    def to_purge(self, which: Filter, before: datetime) -> int:
        """Count the dead letters that `purge` would empty."""
        rows = self._rows(statement("dead_letters_to_purge"), {**_parameters(which), "before": before})
        return int(rows[0][0])

    def lock_requeues(self) -> None:
        """Take the lock that keeps other requeues out until this session ends.

        Raises:
            RefusedError: another requeue is running.
        """
        if self._rows(statement("requeues_lock"), {"key": _REQUEUE_LOCK}) != [(True,)]:
            raise RefusedError(
                "another `fraudctl deadletters requeue` is at work",
                hint="wait until it has ended; its session holds the lock in the database",
            )
        self._locks_requeues = True

    def open_claims(self, topic: str) -> tuple[Claim, ...]:
        """Return the claims whose copies are not known to have been sent."""
        return tuple(Claim(*row) for row in self._rows(statement("requeues_open"), {"topic": topic}))

    def claim(self, topic: str, places: Sequence[tuple[int, int, int]]) -> tuple[Claim, ...]:
        """Record that these dead letters are about to be sent, before anything is sent.

        Args:
            topic: the topic of the dead letters.
            places: (partition, offset, end offset of the partition) of each dead letter.
        """
        rows = self._rows(
            statement("requeues_claim"),
            {
                "topic": topic,
                "partitions": [place[0] for place in places],
                "offsets": [place[1] for place in places],
                "log_ends": [place[2] for place in places],
            },
        )
        return tuple(Claim(*row) for row in rows)

    def sent(self, topic: str, claims: Sequence[tuple[Claim, int]]) -> None:
        """Record the offset of each copy that was sent."""
        self._rows(
            statement("requeues_sent"),
            {
                "topic": topic,
                "partitions": [claim.partition for claim, _ in claims],
                "offsets": [claim.offset for claim, _ in claims],
                "attempts": [claim.attempt for claim, _ in claims],
                "to_offsets": [offset for _, offset in claims],
            },
        )

    def withdraw(self, topic: str, claims: Sequence[Claim]) -> None:
        """Delete claims whose copies are known not to be in the log."""
        self._rows(
            statement("requeues_withdraw"),
            {
                "topic": topic,
                "partitions": [claim.partition for claim in claims],
                "offsets": [claim.offset for claim in claims],
                "attempts": [claim.attempt for claim in claims],
            },
        )

    def _rows(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            cursor = self._connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []
        except (sqlstate.UndefinedTable, sqlstate.UndefinedColumn, sqlstate.InvalidSchemaName) as error:
            raise RefusedError(
                "the database does not have the tables of dead letters",
                detail=str(error).strip(),
                hint="run `fraudctl migrate`",
            ) from error
        except psycopg.Error as error:
            if self._connection.broken:
                raise UnreachableError(
                    "the connection to the database was lost",
                    detail=str(error).strip(),
                    hint="look at `fraudctl status`, then ask again",
                ) from error
            raise refusal(error, "the dead letters cannot be read") from error


def _parameters(which: Filter) -> dict[str, Any]:
    return {
        "topic": which.topic,
        "reason": which.reason,
        "since": which.since,
        "partition": which.partition,
        "offset": which.offset,
    }
