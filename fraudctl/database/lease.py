"""The lease: the right to write, held by one detector at a time and identified by its epoch.

A holder proves that it is alive by heartbeats, in every merge and from a thread of its own. A lease is free
once it was released, or once its holder has been silent for longer than the lease lasts, by the database's
clock. The epoch, not the clock, keeps a former holder from writing: see lease_beat.sql.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread

import psycopg

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import Connection, asking, connect
from fraudctl.database.statements import statement
from fraudctl.errors import DataError, FencedError, FraudctlError, RefusedError, UnreachableError

# A holder sends several heartbeats within the duration of its lease, and at least one every few seconds so
# that it soon notices a successor.
_BEATS = 5
_LONGEST_PAUSE_SECONDS = 3.0


@dataclass(frozen=True)
class Holder:
    """The process that asks for the lease.

    `name` is for display, `process` is the process identity: which process on which machine.
    """

    name: str
    process: str


@dataclass(frozen=True)
class Lease:
    """The current row of the lease.

    `free` means that it was released, or that its holder has been silent for too long.
    """

    epoch: int
    holder: str
    process: str
    lease_seconds: float
    silent_seconds: float
    free: bool

    def described(self) -> str:
        """Return a description of the holder."""
        return (
            f"{self.holder}; last heard of {self.silent_seconds:.1f} s ago, "
            f"its lease lasts {self.lease_seconds:g} s; epoch {self.epoch}"
        )


def look(endpoint: PostgresEndpoint, *, connect_seconds: float) -> Lease:
    """Return the current lease.

    Raises:
        DataError: the table has no row for the detector.
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
    """
    with asking(endpoint, application="fraudctl detect", timeout_seconds=connect_seconds) as connection:
        return read(connection)


def read(connection: Connection) -> Lease:
    """Return the current lease, over an open connection.

    Raises:
        DataError: the table has no row for the detector.
    """
    row = connection.execute(statement("lease_look")).fetchone()
    if row is None:
        raise DataError("the lease row of the detector is missing", hint="run `fraudctl migrate --status`")
    return Lease(*row)


def evict(endpoint: PostgresEndpoint, seen: Lease, *, by: str, connect_seconds: float) -> bool:
    """Fence the holder that was seen and leave the lease free; return False if another epoch has begun.

    A holder that hangs inside a merge keeps the row locked until the database ends its idle transaction,
    which takes as long as its lease lasts.

    Raises:
        UnreachableError: the database does not answer, or the row stayed locked.
    """
    patience = seen.lease_seconds + connect_seconds
    options = {"lock_timeout": f"{patience * 1000:.0f}", "synchronous_commit": "on"}
    try:
        with connect(
            endpoint,
            application="fraudctl detect",
            timeout_seconds=connect_seconds,
            options=options,
            statement_seconds=patience + connect_seconds,
        ) as connection:
            row = connection.execute(statement("lease_evict"), {"by": by, "epoch": seen.epoch}).fetchone()
    except psycopg.OperationalError as error:
        raise UnreachableError(
            "the lease could not be taken over",
            detail=str(error).strip(),
            hint="try again; a merge of the present holder may be at work",
        ) from error
    return row is not None


def acquire(connection: Connection, holder: Holder, lease_seconds: float) -> int:
    """Become the writer if the lease is free; return the new epoch.

    Raises:
        RefusedError: another detector holds the lease.
    """
    given = {"holder": holder.name, "process": holder.process, "lease_seconds": lease_seconds}
    with connection.transaction():
        row = connection.execute(statement("lease_acquire"), given).fetchone()
    if row is None:
        raise held(read(connection))
    return int(row[0])


def held(lease: Lease) -> RefusedError:
    """Return the error that names the present holder of the lease."""
    return RefusedError(
        "another detector writes to this database",
        detail=lease.described(),
        hint="stop it there, or fence it off with `fraudctl detect --takeover`",
    )


def beat(connection: Connection, epoch: int) -> None:
    """Renew the lease of this epoch; inside a transaction this also locks the lease row.

    Raises:
        FencedError: another epoch has begun.
    """
    if connection.execute(statement("lease_beat"), {"epoch": epoch}).fetchone() is None:
        raise fenced(epoch, read(connection))


def fenced(epoch: int, lease: Lease) -> FencedError:
    """Return the error of a detector whose epoch has ended, with its own epoch and the present lease."""
    return FencedError(
        "another detector has taken over; this one has stopped without writing",
        detail=f"own epoch {epoch}, epoch in force {lease.epoch}: {lease.holder}",
        hint="`fraudctl status` shows which detector of this stack runs now",
    )


class Heartbeat:
    """A thread with a connection of its own that renews the lease; use it as a context manager.

    An unreachable database is no reason to stop: nobody else can take over during that time, and every merge
    checks the epoch.
    """

    def __init__(
        self,
        endpoint: PostgresEndpoint,
        epoch: int,
        *,
        lease_seconds: float,
        connect_seconds: float,
        on_trouble: Callable[[str], None],
    ) -> None:
        """Prepare the thread; entering the context starts it.

        Args:
            endpoint: the database and the user to connect as.
            epoch: the epoch to renew.
            lease_seconds: how long a lease lasts without a heartbeat.
            connect_seconds: time limit for opening the connection, in seconds.
            on_trouble: called with one line of text about the first of several failed heartbeats in a row.
        """
        self._endpoint = endpoint
        self._epoch = epoch
        self._lease_seconds = lease_seconds
        self._connect_seconds = connect_seconds
        self._on_trouble = on_trouble
        self._connection: Connection | None = None
        self._ended = Event()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)
        self.lost: FencedError | None = None

    def __enter__(self) -> "Heartbeat":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Ask the thread to end, without waiting for it."""
        self._ended.set()

    def check(self) -> None:
        """Check that the epoch was still active at the last heartbeat.

        Raises:
            FencedError: the last heartbeat found another active epoch.
        """
        if self.lost is not None:
            raise self.lost

    def _run(self) -> None:
        well = True
        while not self._ended.wait(min(self._lease_seconds / _BEATS, _LONGEST_PAUSE_SECONDS)):
            try:
                beat(self._open(), self._epoch)
                well = True
            except FencedError as error:
                self.lost = error
                break
            except psycopg.errors.LockNotAvailable:
                continue  # a merge or an eviction has locked the row: the next heartbeat will tell
            except (psycopg.Error, FraudctlError) as error:
                if well:
                    self._on_trouble(f"heartbeat failed: {str(error).strip()}")
                well = False
                self._close()
        self._close()

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(
                self._endpoint,
                application="fraudctl heartbeat",
                timeout_seconds=self._connect_seconds,
                autocommit=True,
                options={"lock_timeout": f"{self._connect_seconds * 1000:.0f}"},
                statement_seconds=2 * self._connect_seconds,
            )
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
