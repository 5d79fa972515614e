"""Write one micro-batch: fence, ledger, staging, merge, dead letters, flags and alerts in one transaction.

Whatever happens on the way (a crash, a lost connection, a lost answer to COMMIT, a second attempt by Spark),
the batch is written exactly once or not at all. Three things ensure that. The lease row is locked first and
refuses a writer with an old epoch. The ledger has one row for each query id and batch id of Spark, with
offset range and digest, so that a repeated batch changes nothing. Staging is emptied and filled inside the
transaction, so that no stale row can be merged.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.types.json import Json
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    wait_exponential,
)

from fraudctl import failpoints
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.model import LandingSettings
from fraudctl.database import flags, lease, rule_sets
from fraudctl.database.connection import Connection, connect
from fraudctl.database.flags import Flag
from fraudctl.database.instants import instant
from fraudctl.database.lease import Holder
from fraudctl.database.refusals import refusal
from fraudctl.database.rule_sets import StoredRules
from fraudctl.database.statements import statement
from fraudctl.errors import DataError, UnreachableError

# Payloads are kilobytes each: a batch of rejected records only must not become one slow statement.
_LETTERS_AT_ONCE = 5_000
_ALERTS_AT_ONCE = 10_000
_LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
)

Result = TypeVar("Result")


@dataclass(frozen=True, order=True)
class WindowRow:
    """The full value of one window and category.

    Times are microseconds since the epoch, amounts are in minor units.
    """

    window_start_us: int
    window_end_us: int
    category: str
    count: int
    flagged_count: int
    amount_minor: int
    flagged_amount_minor: int


@dataclass(frozen=True, order=True)
class DeadLetter:
    """One rejected record: its partition and offset, the reason and its first bytes.

    `arrival_us` is in microseconds since the epoch, `payload_bytes` is the length of the whole record.
    """

    partition: int
    offset: int
    reason: str
    arrival_us: int
    payload: bytes
    payload_bytes: int


@dataclass(frozen=True, order=True)
class Alert:
    """One transaction that raised an alert.

    `rules` holds the ids of the rules that matched, joined by commas. Amounts are in minor units.
    `arrival_us` is the arrival of the first copy in the batch; it depends on nothing but the log.
    """

    digest: str
    transaction_id: str
    card_id: str
    merchant_id: str
    event_time_us: int
    category: str
    amount_minor: int
    currency: str
    country: str
    channel: str
    arrival_us: int
    score: int
    rules: str


@dataclass(frozen=True)
class MicroBatch:
    """Everything that one micro-batch writes.

    `offsets` maps a partition to (first, one past the last). `intake` counts the records of each partition by
    outcome (`admitted` or a reason). `watermark_ms` is the batch's own entry in the checkpoint. `rule_set` is
    the digest of the rules that evaluated the batch, `alerts` are the alerts they raised, and `flags` the
    matches of rules that look back at a card: a function of the records read so far and of these rules.
    `planned_ms` (when the batch was planned) and `arrivals_us` (its oldest and newest arrival) are for
    display only.
    """

    query_id: str
    batch_id: int
    offsets: dict[int, tuple[int, int]]
    intake: dict[int, dict[str, int]]
    watermark_ms: int
    windows: tuple[WindowRow, ...]
    dead_letters: tuple[DeadLetter, ...]
    planned_ms: int | None = None
    arrivals_us: tuple[int, int] | None = None
    alerts: tuple[Alert, ...] = ()
    rule_set: str | None = None
    flags: tuple[Flag, ...] = ()

    def digest(self) -> str:
        """Return the SHA-256 over the sorted windows and dead letters; equal input gives an equal digest.

        Of a dead letter it covers partition, offset and reason. Alerts and flags are not covered.
        """
        result = hashlib.sha256()
        for row in sorted(self.windows):
            result.update(repr(row).encode())
        for letter in sorted(self.dead_letters):
            result.update(repr((letter.partition, letter.offset, letter.reason)).encode())
        return result.hexdigest()


@dataclass(frozen=True)
class Source:
    """The log that the offsets belong to, and the fingerprint of the settings it is read with."""

    cluster_id: str
    topic: str
    topic_id: str
    fingerprint: str


@dataclass(frozen=True)
class Landed:
    """The result of writing one micro-batch.

    `replayed` means that the ledger already had the batch and nothing was changed. `alerts` counts new alerts
    only, without those that an earlier batch had raised; `flags` counts rows that were written or replaced.
    """

    batch_id: int
    replayed: bool
    windows: int
    dead_letters: int
    alerts: int = 0
    flags: int = 0


class Landing:
    """The detector's writer: it acquires an epoch once, then writes one batch after the other."""

    def __init__(
        self,
        endpoint: PostgresEndpoint,
        source: Source,
        settings: LandingSettings,
        *,
        holder: Holder,
        connect_seconds: float,
        stopping: Callable[[], bool],
        on_retry: Callable[[str], None],
    ) -> None:
        """Prepare the writer; nothing is connected yet.

        Args:
            endpoint: the database and the user to connect as.
            source: the log that the batches are read from.
            settings: the section `landing` of the settings.
            holder: who acquires the lease.
            connect_seconds: time limit for opening a connection, in seconds.
            stopping: called between attempts; once it returns True, an unreachable database is not retried.
            on_retry: called with one line of text after each failed attempt.
        """
        self._endpoint = endpoint
        self._source = source
        self._settings = settings
        self._holder = holder
        self._connect_seconds = connect_seconds
        self._stopping = stopping
        self._on_retry = on_retry
        self._connection: Connection | None = None
        self.epoch = -1

    def acquire(self) -> int:
        """Become the writer and return the new epoch; every earlier epoch is fenced from now on.

        Raises:
            RefusedError: another detector holds the lease.
            UnreachableError: the database did not answer within `landing.retry_seconds`.
        """
        self.epoch = self._retrying(self._acquire_once)
        return self.epoch

    def land(self, batch: MicroBatch) -> Landed:
        """Write the batch exactly once, and retry while the database is unreachable.

        Raises:
            FencedError: another detector has become the writer.
            DataError: the ledger knows this batch with another range or other rows, or the database refuses
                it.
            UnreachableError: the database did not answer within `landing.retry_seconds`.
        """
        return self._retrying(lambda: self._land_once(batch))

    def begin_rules(self, digest: str, document: dict[str, Any]) -> StoredRules:
        """Activate these rules if none are active yet; return the active rules.

        Raises:
            UnreachableError: the database did not answer within `landing.retry_seconds`.
        """

        def work() -> StoredRules:
            connection = self._open()
            with connection.transaction():
                return rule_sets.begin(connection, digest, document)

        return self._retrying(work)

    def wanted_rules(self, query_id: str, batch_id: int, known: str) -> StoredRules | None:
        """Return the rules that must evaluate this batch, or None if they have the digest `known`.

        A batch that is in the ledger keeps its own rules; any other batch gets the active rules.

        Raises:
            UnreachableError: the database did not answer within `landing.retry_seconds`.
        """

        def work() -> StoredRules | None:
            connection = self._open()
            with connection.transaction():
                return rule_sets.wanted(connection, query_id, batch_id, known)

        return self._retrying(work)

    def release(self) -> None:
        """Release the lease if it was acquired; a lease that is not released has to expire.

        Raises:
            UnreachableError: the database does not answer.
        """
        if self.epoch < 0:
            return
        try:
            with self._open() as connection:
                connection.execute(statement("lease_release"), {"epoch": self.epoch})
        except psycopg.Error as error:
            raise UnreachableError("the lease could not be given back", detail=str(error).strip()) from error

    def close(self) -> None:
        """Close the connection if one is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _retrying(self, work: Callable[[], Result]) -> Result:
        """Run `work` until it succeeds, `landing.retry_seconds` have passed or the detector is stopping.

        Every attempt is a whole transaction; after a failed one the connection is reopened.
        """

        def attempt() -> Result:
            try:
                return work()
            except psycopg.Error:
                self.close()
                raise

        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self._on_retry(f"attempt {state.attempt_number} failed, trying again: {str(error).strip()}")

        retrying = Retrying(
            retry=retry_if_exception_type((*_LOST, UnreachableError)),
            stop=lambda state: (
                self._stopping() or (state.seconds_since_start or 0) >= self._settings.retry_seconds
            ),
            wait=wait_exponential(multiplier=0.2, max=5),
            before_sleep=tell,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except _LOST as error:
            raise UnreachableError(
                "the database failed and did not come back in time",
                detail=str(error).strip(),
                hint="nothing is lost: look at `fraudctl status`, then run `fraudctl detect` again",
            ) from error
        except psycopg.Error as error:
            raise refusal(error, "the database refuses the batch") from error

    def _acquire_once(self) -> int:
        return lease.acquire(self._open(), self._holder, self._settings.lease_seconds)

    def _land_once(self, batch: MicroBatch) -> Landed:
        connection = self._open()
        alerts = 0
        with connection.transaction():
            lease.beat(connection, self.epoch)
            replayed = self._already_landed(connection, batch)
            if not replayed:
                alerts = self._write(connection, batch)
        failpoints.reach("after_commit")
        written = len(batch.windows), len(batch.dead_letters)
        return Landed(batch.batch_id, replayed, *written, alerts, len(batch.flags))

    def _write(self, connection: Connection, batch: MicroBatch) -> int:
        """Write all rows of the batch in the open transaction; return the number of new alerts."""
        failpoints.reach("before_staging")
        _stage(connection, batch.windows)
        failpoints.reach("after_staging")
        counted = connection.execute(statement("staging_counted")).fetchone()
        failpoints.reach("before_merge")
        connection.execute(statement("metrics_merge"))
        _keep_dead_letters(connection, self._source.topic, batch.dead_letters)
        flags.put(
            connection,
            batch.flags,
            query_id=batch.query_id,
            batch_id=batch.batch_id,
            rule_set=batch.rule_set,
        )
        alerts = _raise_alerts(connection, batch)
        failpoints.reach("after_merge")
        connection.execute(
            statement("ledger_insert"),
            {**self._ledger_row(batch), "counted": counted[0] if counted else None},
        )
        failpoints.reach("after_ledger")
        failpoints.reach("before_commit")
        return alerts

    def _already_landed(self, connection: Connection, batch: MicroBatch) -> bool:
        key = {"query_id": batch.query_id, "batch_id": batch.batch_id}
        row = connection.execute(statement("ledger_find"), key).fetchone()
        if row is None:
            return False
        if row[0] != _plain_offsets(batch) or row[1] != batch.digest():
            raise DataError(
                f"batch {batch.batch_id} was landed before with another content",
                detail=f"ledger: offsets {row[0]}, digest {row[1]}\n"
                f"now:    offsets {_plain_offsets(batch)}, digest {batch.digest()}",
                hint="the checkpoint does not belong to this ledger; nothing was changed",
            )
        connection.execute(statement("ledger_replayed"), key)
        return True

    def _ledger_row(self, batch: MicroBatch) -> dict[str, object]:
        oldest, newest = batch.arrivals_us or (None, None)
        return {
            "query_id": batch.query_id,
            "batch_id": batch.batch_id,
            "epoch": self.epoch,
            "cluster_id": self._source.cluster_id,
            "topic": self._source.topic,
            "topic_id": self._source.topic_id,
            "offsets": Json(_plain_offsets(batch)),
            "intake": Json({str(partition): fates for partition, fates in sorted(batch.intake.items())}),
            "watermark": instant(batch.watermark_ms * 1000),
            "rows": len(batch.windows),
            "digest": batch.digest(),
            "fingerprint": self._source.fingerprint,
            "planned_at": None if batch.planned_ms is None else instant(batch.planned_ms * 1000),
            "oldest_arrival": None if oldest is None else instant(oldest),
            "newest_arrival": None if newest is None else instant(newest),
            "rule_set": batch.rule_set,
        }

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            settings = self._settings
            self._connection = connect(
                self._endpoint,
                application="fraudctl detector",
                timeout_seconds=self._connect_seconds,
                options={
                    "synchronous_commit": "on",
                    "lock_timeout": f"{settings.lock_timeout_seconds * 1000:.0f}",
                    # A detector that hangs inside a merge must not block its successor for longer.
                    "idle_in_transaction_session_timeout": f"{settings.lease_seconds * 1000:.0f}",
                },
                statement_seconds=settings.statement_timeout_seconds,
            )
        return self._connection


def _stage(connection: Connection, rows: tuple[WindowRow, ...]) -> None:
    connection.execute(statement("staging_clear"))
    if not rows:
        return
    with connection.cursor() as cursor, cursor.copy(statement("staging_copy")) as copy:
        for row in rows:
            copy.write_row(
                (
                    instant(row.window_start_us),
                    instant(row.window_end_us),
                    row.category,
                    row.count,
                    row.flagged_count,
                    row.amount_minor,
                    row.flagged_amount_minor,
                )
            )


def _keep_dead_letters(connection: Connection, topic: str, letters: tuple[DeadLetter, ...]) -> None:
    for first in range(0, len(letters), _LETTERS_AT_ONCE):
        part = letters[first : first + _LETTERS_AT_ONCE]
        connection.execute(
            statement("dead_letters_insert"),
            {
                "topic": topic,
                "partitions": [letter.partition for letter in part],
                "offsets": [letter.offset for letter in part],
                "reasons": [letter.reason for letter in part],
                "arrivals": [instant(letter.arrival_us) for letter in part],
                "payloads": [letter.payload for letter in part],
                "lengths": [letter.payload_bytes for letter in part],
            },
        )


def _raise_alerts(connection: Connection, batch: MicroBatch) -> int:
    """Insert the alerts of the batch; return how many of them are new.

    A transaction that raised an alert in an earlier batch is a copy here and raises no second one.
    """
    new = 0
    for first in range(0, len(batch.alerts), _ALERTS_AT_ONCE):
        part = batch.alerts[first : first + _ALERTS_AT_ONCE]
        new += connection.execute(
            statement("alerts_insert"),
            {
                "query_id": batch.query_id,
                "batch_id": batch.batch_id,
                "rule_set": batch.rule_set,
                "digests": [alert.digest for alert in part],
                "transactions": [alert.transaction_id for alert in part],
                "cards": [alert.card_id for alert in part],
                "merchants": [alert.merchant_id for alert in part],
                "event_times": [instant(alert.event_time_us) for alert in part],
                "categories": [alert.category for alert in part],
                "amounts": [alert.amount_minor for alert in part],
                "currencies": [alert.currency for alert in part],
                "countries": [alert.country for alert in part],
                "channels": [alert.channel for alert in part],
                "arrivals": [instant(alert.arrival_us) for alert in part],
                "scores": [alert.score for alert in part],
                "rules": [alert.rules for alert in part],
            },
        ).rowcount
    return new


def _plain_offsets(batch: MicroBatch) -> dict[str, list[int]]:
    return {str(partition): list(span) for partition, span in sorted(batch.offsets.items())}
