"""Read windows for display."""

from dataclasses import dataclass
from datetime import datetime

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import connect
from fraudctl.database.statements import statement


@dataclass(frozen=True)
class CategoryCount:
    """The number of transactions of one category in a window, and of the flagged ones among them."""

    count: int
    flagged: int


@dataclass(frozen=True)
class WindowCounts:
    """The counts of one window (or one slice of time) by category."""

    start: datetime
    by_category: dict[str, CategoryCount]

    @property
    def count(self) -> int:
        """Return the number of transactions of all categories."""
        return sum(part.count for part in self.by_category.values())

    @property
    def flagged(self) -> int:
        """Return the number of flagged transactions of all categories."""
        return sum(part.flagged for part in self.by_category.values())


class WindowReader:
    """One read-only connection; use it as a context manager."""

    def __init__(self, endpoint: PostgresEndpoint, *, connect_seconds: float) -> None:
        """Open the connection.

        Args:
            endpoint: the database and the user to connect as.
            connect_seconds: time limit for opening the connection, in seconds.
        """
        self._connection = connect(
            endpoint,
            application="fraudctl windows",
            timeout_seconds=connect_seconds,
            autocommit=True,
            options={"default_transaction_read_only": "on"},
        )

    def __enter__(self) -> "WindowReader":
        """Return the reader itself; the connection is open already."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connection."""
        self._connection.close()

    def newest(self, limit: int) -> list[WindowCounts]:
        """Return the newest `limit` windows, newest first; they overlap."""
        rows = self._connection.execute(statement("windows_newest"), {"limit": limit}).fetchall()
        return [
            WindowCounts(start, {name: CategoryCount(*pair) for name, pair in sorted(parts.items())})
            for start, _end, parts in rows
        ]

    def slices(self, length_minutes: int) -> list[WindowCounts]:
        """Return the windows that do not overlap, oldest first; their sum counts every event once.

        Args:
            length_minutes: length of a window, in minutes.
        """
        rows = self._connection.execute(
            statement("windows_slices"), {"length_seconds": length_minutes * 60}
        ).fetchall()
        slices: dict[datetime, dict[str, CategoryCount]] = {}
        for start, category, count, flagged in rows:
            slices.setdefault(start, {})[category] = CategoryCount(count, flagged)
        return [WindowCounts(start, parts) for start, parts in slices.items()]
