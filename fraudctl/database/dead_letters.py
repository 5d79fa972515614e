"""Dead letters for people to look at, to send again and to empty."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors as sqlstate

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import connect
from fraudctl.database.refusals import refusal
from fraudctl.database.statements import statement
from fraudctl.errors import RefusedError, UnreachableError

# Key of the advisory lock that one requeue at a time holds, for as long as its session lives.
_REQUEUE_LOCK = 7_205_419_336


@dataclass(frozen=True)
class Filter:
    """Which letters are meant; what is None does not narrow it down."""

    topic: str
    reason: str | None = None
    since: datetime | None = None
    partition: int | None = None
    offset: int | None = None


@dataclass(frozen=True)
class Letter:
    """One refused record as the detector kept it. `payload` is its masked begin, empty once purged.

    `requeued_at` and `requeued_to` are those of the last time it was sent again.
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
    reason: str
    letters: int
    requeued: int
    purged: int


@dataclass(frozen=True)
class Claim:
    """That a letter is being sent again: `log_end` is where its partition ended just before."""

    partition: int
    offset: int
    attempt: int
    log_end: int


class DeadLetters:
    """One connection, each statement committed; use as a context manager.

    Raises (every method):
        RefusedError: the database has not been migrated.
        UnreachableError: the connection was lost.
    """

    def __init__(self, endpoint: PostgresEndpoint, *, connect_seconds: float) -> None:
        self._connection = connect(
            endpoint,
            application="fraudctl deadletters",
            timeout_seconds=connect_seconds,
            autocommit=True,
            options={"synchronous_commit": "on", "lock_timeout": "10s"},
        )

    def __enter__(self) -> "DeadLetters":
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def counts(self, which: Filter) -> tuple[ReasonCount, ...]:
        """How many there are of each reason, most first."""
        rows = self._rows(statement("dead_letters_counts"), _parameters(which))
        return tuple(ReasonCount(*row) for row in rows)

    def newest(self, which: Filter, limit: int | None) -> tuple[Letter, ...]:
        """The letters that arrived last, newest first; all of them without a limit."""
        rows = self._rows(statement("dead_letters_newest"), {**_parameters(which), "limit": limit})
        return tuple(Letter(*row) for row in rows)

    def now(self) -> datetime:
        """By the clock that `recorded_at` is taken from."""
        moment: datetime = self._rows(statement("database_clock"), {})[0][0]
        return moment

    def after(
        self, which: Filter, place: tuple[int, int], *, recorded_before: datetime, limit: int
    ) -> tuple[Letter, ...]:
        """The next letters behind a place (partition, offset), in the order of the log."""
        narrowed = {"topic": which.topic, "reason": which.reason, "recorded_before": recorded_before}
        behind = {"after_partition": place[0], "after_offset": place[1], "limit": limit}
        rows = self._rows(statement("dead_letters_after"), narrowed | behind)
        return tuple(Letter(*row) for row in rows)

    def purge(self, which: Filter, before: datetime) -> tuple[int, int]:
        """Empty what was recorded before that moment and keep the fact; how many letters and bytes."""
        rows = self._rows(statement("dead_letters_purge"), {**_parameters(which), "before": before})
        return int(rows[0][0]), int(rows[0][1])

    def to_purge(self, which: Filter, before: datetime) -> int:
        """How many letters `purge` would empty."""
        rows = self._rows(statement("dead_letters_to_purge"), {**_parameters(which), "before": before})
        return int(rows[0][0])

    def lock_requeues(self) -> None:
        """Keep every other requeue out until this session ends.

        Raises:
            RefusedError: another one is at work.
        """
        if self._rows(statement("requeues_lock"), {"key": _REQUEUE_LOCK}) != [(True,)]:
            raise RefusedError(
                "another `fraudctl deadletters requeue` is at work",
                hint="wait until it has ended; its session holds the lock in the database",
            )

    def open_claims(self, topic: str) -> tuple[Claim, ...]:
        """Letters whose sending was begun, and of which nothing was heard."""
        return tuple(Claim(*row) for row in self._rows(statement("requeues_open"), {"topic": topic}))

    def claim(self, topic: str, places: Sequence[tuple[int, int, int]]) -> tuple[Claim, ...]:
        """Write down, before anything is sent, that these (partition, offset, end of the log) will be."""
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
        """Write down the offset that each copy got."""
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
        """Forget claims whose copies are known not to be in the log."""
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
            raise (refusal(error, "the dead letters cannot be read") or error) from error


def _parameters(which: Filter) -> dict[str, Any]:
    return {
        "topic": which.topic,
        "reason": which.reason,
        "since": which.since,
        "partition": which.partition,
        "offset": which.offset,
    }
