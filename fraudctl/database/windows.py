"""Read windows for people to look at."""

from dataclasses import dataclass
from datetime import datetime

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import connect
from fraudctl.database.statements import statement


@dataclass(frozen=True)
class CategoryCount:
    count: int
    flagged: int


@dataclass(frozen=True)
class WindowCounts:
    """One window (or one slice of time), with what each category counted in it."""

    start: datetime
    by_category: dict[str, CategoryCount]

    @property
    def count(self) -> int:
        return sum(part.count for part in self.by_category.values())

    @property
    def flagged(self) -> int:
        return sum(part.flagged for part in self.by_category.values())


class WindowReader:
    """One read-only connection; use as a context manager."""

    def __init__(self, endpoint: PostgresEndpoint, *, connect_seconds: float) -> None:
        self._connection = connect(
            endpoint,
            application="fraudctl windows",
            timeout_seconds=connect_seconds,
            autocommit=True,
            options={"default_transaction_read_only": "on"},
        )

    def __enter__(self) -> "WindowReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def newest(self, limit: int) -> list[WindowCounts]:
        """The newest `limit` windows, newest first; they overlap."""
        rows = self._connection.execute(statement("windows_newest"), {"limit": limit}).fetchall()
        return [
            WindowCounts(start, {name: CategoryCount(*pair) for name, pair in sorted(parts.items())})
            for start, _end, parts in rows
        ]

    def slices(self, length_minutes: int) -> list[WindowCounts]:
        """Windows that do not overlap, oldest first: their sum counts every event once."""
        rows = self._connection.execute(
            statement("windows_slices"), {"length_seconds": length_minutes * 60}
        ).fetchall()
        slices: dict[datetime, dict[str, CategoryCount]] = {}
        for start, category, count, flagged in rows:
            slices.setdefault(start, {})[category] = CategoryCount(count, flagged)
        return [WindowCounts(start, parts) for start, parts in slices.items()]
