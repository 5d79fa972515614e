"""Convert times for the database."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(microseconds: int) -> datetime:
    """Return the exact time that is `microseconds` after the beginning of 1970 (UTC)."""
    return _EPOCH + timedelta(microseconds=microseconds)
