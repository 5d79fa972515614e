"""A reader beside the detector: whatever it sees, at any moment, must be whole and must never go back.

Each look is one REPEATABLE READ transaction over windows, staging, dead letters and ledger. What must hold in
it follows from the ledger, whose row is written in the same transaction as everything else of its batch:

* conservation: over all windows, the counts add up to what the ledger admitted, times the windows that one
  event lies in, and there are as many dead letters as the ledger rejected. One row that is ahead of the
  ledger, behind it or wrong by one breaks this. (The log must be without duplicates: the ledger does not
  count them.)
* the newest batch: the window rows that were written after the ledger row before it and not after its own
  are as many as its ledger row says, they are exactly what staging holds, and together with its dead letters
  they give the digest that the ledger keeps.

From one look to the next no row may disappear and no value of a row may be lower than before, as long as the
generation, the query that the ledger names, stays the same. The ledger itself may only grow.
"""

from dataclasses import dataclass
from datetime import datetime
from threading import Event, Thread
from typing import Any

import psycopg

from fraudctl.clock import Deadline
from fraudctl.database.landing import DeadLetter, MicroBatch, WindowRow

TARGET = "0 regressing, 0 half"  # of bar 9
_EVERY_SECONDS = 0.1
_INSTANTS = (
    "(extract(epoch FROM window_start) * 1000000)::bigint, (extract(epoch FROM window_end) * 1000000)::bigint"
)
_VALUES = "count, flagged_count, amount_minor, flagged_amount_minor"
_METRICS = f"SELECT updated_at, {_INSTANTS}, category, {_VALUES} FROM fraud.fraud_metrics"
_STAGING = f"SELECT {_INSTANTS}, category, {_VALUES} FROM fraud.fraud_staging_metrics"
_LEDGER = """
    SELECT query_id::text, batch_id, epoch, offsets, rows, digest, committed_at
      FROM fraud.batch_ledger ORDER BY epoch DESC, batch_id DESC LIMIT 2"""
_INTAKE = """
    SELECT coalesce(sum(records) FILTER (WHERE fate = 'admitted'), 0)::bigint,
           coalesce(sum(records) FILTER (WHERE fate <> 'admitted'), 0)::bigint
      FROM fraud.batch_ledger, jsonb_each(intake) AS of_partition (partition, fates),
           LATERAL (SELECT key, value::bigint FROM jsonb_each_text(fates)) AS counted (fate, records)"""
_LETTERS = 'SELECT partition, "offset", reason FROM fraud.dead_letters'


@dataclass(frozen=True)
class _Newest:
    """The ledger's newest row, and when the one before it was written."""

    query_id: str
    batch_id: int
    epoch: int
    offsets: dict[str, list[int]]
    rows: int
    digest: str
    committed_at: datetime
    before: datetime | None


@dataclass(frozen=True)
class _Seen:
    """One snapshot of everything."""

    newest: _Newest | None
    admitted: int
    rejected: int
    metrics: list[tuple[datetime, WindowRow]]
    staging: list[WindowRow]
    letters: list[tuple[int, int, str]]

    @property
    def values(self) -> dict[tuple[int, int, str], tuple[int, int, int, int]]:
        return {
            (row.window_start_us, row.window_end_us, row.category): (
                row.count,
                row.flagged_count,
                row.amount_minor,
                row.flagged_amount_minor,
            )
            for _, row in self.metrics
        }


class Reader:
    """Looks ten times a second from a thread of its own; use as a context manager.

    Leaving it fails if any look found something, if there was none, or if the reader itself failed. It waits
    for a database that is away.
    """

    def __init__(self, database: str, *, windows_per_event: int = 10) -> None:
        self._database = database
        self._windows_per_event = windows_per_event
        self._before: _Seen | None = None
        self._ended = Event()
        self._failure: Exception | None = None
        self._thread = Thread(target=self._run, name="reader", daemon=True)
        self.looks = 0
        self.half: list[str] = []
        self.regressing: list[str] = []

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._ended.set()
        self._thread.join(30)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Fail if anything was found."""
        if self._failure is not None:
            raise self._failure
        assert self.looks > 0, "the reader has seen nothing"
        assert not self.half, f"half a batch in {self.looks} snapshots:\n" + "\n".join(self.half[:5])
        assert not self.regressing, f"went back in {self.looks} snapshots:\n" + "\n".join(self.regressing[:5])

    def figure(self) -> str:
        """For the table of bars."""
        return f"{self.looks:,} snapshots, {len(self.regressing)} regressing, {len(self.half)} half"

    def look(self, connection: psycopg.Connection[Any]) -> None:
        """Take one snapshot, compare it with its own ledger and with the one before."""
        seen = _snapshot(connection)
        self.looks += 1
        self.half += _incomplete(seen, self._windows_per_event)
        if self._before is not None:
            self.regressing += _went_back(self._before, seen)
        self._before = seen

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._look_until_lost()
        except Exception as error:  # noqa: BLE001 - handed on to whoever started the reader
            self._failure = error

    def _look_until_lost(self) -> None:
        try:
            with psycopg.connect(self._database, connect_timeout=2, application_name="reader") as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                while not self._ended.is_set():
                    next_look = Deadline(_EVERY_SECONDS)
                    self.look(connection)
                    self._ended.wait(next_look.remaining())
        except psycopg.OperationalError:
            self._ended.wait(_EVERY_SECONDS)  # the database is away; what was seen before still counts


def _snapshot(connection: psycopg.Connection[Any]) -> _Seen:
    with connection.transaction():
        found = connection.execute(_LEDGER).fetchall()
        intake = connection.execute(_INTAKE).fetchone()
        metrics = connection.execute(_METRICS).fetchall()
        staging = connection.execute(_STAGING).fetchall()
        letters = connection.execute(_LETTERS).fetchall()
    assert intake
    return _Seen(
        newest=_Newest(*found[0], before=found[1][-1] if len(found) > 1 else None) if found else None,
        admitted=intake[0],
        rejected=intake[1],
        metrics=[(stamp, WindowRow(*row)) for stamp, *row in metrics],
        staging=[WindowRow(*row) for row in staging],
        letters=letters,
    )


def _incomplete(seen: _Seen, windows_per_event: int) -> list[str]:
    """What of a snapshot does not agree with its own ledger."""
    newest = seen.newest
    found = []
    counted = sum(row.count for _, row in seen.metrics)
    if counted != seen.admitted * windows_per_event:
        found.append(
            f"the ledger admitted {seen.admitted} x {windows_per_event}, the windows count {counted}"
        )
    if len(seen.letters) != seen.rejected:
        found.append(f"the ledger rejected {seen.rejected}, there are {len(seen.letters)} dead letters")
    if newest is None:
        return [f"without a ledger: {problem}" for problem in found]
    own = sorted(row for stamp, row in seen.metrics if _is_of(newest, stamp))
    later = sum(stamp > newest.committed_at for stamp, _ in seen.metrics)
    if later:
        found.append(f"{later} window rows were written after the newest ledger row")
    if len(own) != newest.rows:
        found.append(f"the ledger says {newest.rows} window rows, its transaction left {len(own)}")
    if own != sorted(seen.staging):
        found.append(
            f"staging holds {len(seen.staging)} rows that are not the {len(own)} of the newest batch"
        )
    if _digest(newest, own, seen.letters) != newest.digest:
        found.append("the rows of the newest batch do not give its digest")
    return [f"batch {newest.batch_id}: {problem}" for problem in found]


def _is_of(newest: _Newest, stamp: datetime) -> bool:
    """Rows carry the beginning of their transaction, a ledger row the moment near its end."""
    return (newest.before is None or newest.before < stamp) and stamp <= newest.committed_at


def _digest(newest: _Newest, rows: list[WindowRow], letters: list[tuple[int, int, str]]) -> str:
    spans = {int(partition): (first, end) for partition, (first, end) in newest.offsets.items()}
    own = [
        DeadLetter(partition, offset, reason, 0, b"", 0)
        for partition, offset, reason in letters
        if partition in spans and spans[partition][0] <= offset < spans[partition][1]
    ]
    return MicroBatch(newest.query_id, newest.batch_id, {}, {}, 0, tuple(rows), tuple(own)).digest()


def _went_back(before: _Seen, now: _Seen) -> list[str]:
    """What is less than in the snapshot before, of the same generation."""
    if before.newest is None:
        return []
    if now.newest is None:
        return [f"the ledger is empty; it ended with batch {before.newest.batch_id}"]
    if now.newest.query_id != before.newest.query_id:
        return []
    found = []
    if now.newest.batch_id < before.newest.batch_id:
        found.append(
            f"the ledger ended with batch {before.newest.batch_id}, and ends with {now.newest.batch_id}"
        )
    present = now.values
    for key, values in before.values.items():
        if key not in present:
            found.append(f"window {key} has disappeared")
        elif any(new < old for new, old in zip(present[key], values, strict=True)):
            found.append(f"window {key} had {values}, has {present[key]}")
    return found
