"""Encode the transactions that fraudctl writes: one JSON object in UTF-8, fields in the order of the schema.

Only the writing side uses this module. The detector and the recount each have their own code for reading.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from fraudctl.events.schema import SCHEMA_VERSION

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Transaction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One card transaction; events/schema.py says what each field may hold."""

    schema_version: int = SCHEMA_VERSION
    transaction_id: str
    event_time: str
    card_id: str
    merchant_id: str
    category: str
    amount_minor: int
    currency: str
    country: str
    channel: str


_ENCODER = msgspec.json.Encoder()


def encode(transaction: Transaction) -> bytes:
    """Return the bytes of the record's value."""
    return _ENCODER.encode(transaction)


def rfc3339(ms: int) -> str:
    """Return milliseconds since 1970 as RFC 3339 text in UTC: 2026-03-01T12:30:00.250Z."""
    seconds, rest = divmod(ms, 1000)
    return f"{_to_the_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=1024)
def _to_the_second(seconds: int) -> str:
    # Thousands of events share one second, and formatting a date is most of the work.
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
