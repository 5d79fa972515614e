"""The schema of a transaction: field names, JSON types, patterns and bounds. It holds data only.

The detector (Spark) and the recount (plain Python) each implement the checks on their own; this module is
the specification of both. Patterns use only constructs that mean the same in Java and in Python, and
must match the whole value.

An event is rejected as `malformed` when it is empty, longer than `events.max_bytes`, not UTF-8, not one
strict JSON object (duplicate keys, trailing text, NaN, lone surrogates and comments are not allowed), or
does not have exactly the fields below with exactly these JSON types. An integer is a JSON number
without fraction or exponent that fits in 64 bits. After that the first field, in the order below,
whose value is out of bounds gives the reason `invalid_<field>`.

A transaction is identified by its digest, because producers may give one id to two payloads. The digest is a
SHA-256 as hex over all fields in the order below, each as text, joined by U+001F; integers are in decimal,
`event_time` is in microseconds since 1970.
"""

from typing import Literal

SCHEMA_VERSION = 1

FIELDS: dict[str, Literal["integer", "string"]] = {
    "schema_version": "integer",
    "transaction_id": "string",
    "event_time": "string",
    "card_id": "string",
    "merchant_id": "string",
    "category": "string",
    "amount_minor": "integer",
    "currency": "string",
    "country": "string",
    "channel": "string",
}

IDENTIFIER = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"

PATTERNS: dict[str, str] = {
    "transaction_id": IDENTIFIER,
    # RFC 3339 with a zone, years 2000 to 2099, at most microseconds; the calendar is checked separately.
    "event_time": (
        r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
        r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
    ),
    "card_id": IDENTIFIER,
    "merchant_id": IDENTIFIER,
    "currency": r"[A-Z]{3}",
    "country": r"[A-Z]{2}",
    "channel": r"[a-z][a-z0-9_]{0,31}",
}

# Ten thousand million minor units: a 64-bit sum then holds 900 million such amounts in one window.
AMOUNT_MINOR_MIN = 1
AMOUNT_MINOR_MAX = 10_000_000_000

MALFORMED = "malformed"
LATE = "late"
FUTURE = "future"


def invalid(field: str) -> str:
    """Return the reason for a field whose value is out of bounds."""
    return f"invalid_{field}"


REASONS = (MALFORMED, *(invalid(field) for field in FIELDS), LATE, FUTURE)
