"""Instants on their way into the database."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(microseconds: int) -> datetime:
    """That many microseconds after the beginning of 1970, exactly."""
    return _EPOCH + timedelta(microseconds=microseconds)
