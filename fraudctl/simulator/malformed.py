"""Messages that must become dead letters: several malformed shapes, each with the reason it must get."""

import json
from collections.abc import Callable

from fraudctl.events.codec import Transaction, encode
from fraudctl.events.schema import AMOUNT_MINOR_MIN, MALFORMED, SCHEMA_VERSION, invalid

Spoil = Callable[[Transaction], bytes]


def _with(field: str, value: object) -> Spoil:
    def spoil(transaction: Transaction) -> bytes:
        return _written(_fields(transaction) | {field: value})

    return spoil


def _without(field: str) -> Spoil:
    def spoil(transaction: Transaction) -> bytes:
        return _written({key: value for key, value in _fields(transaction).items() if key != field})

    return spoil


def _truncated(transaction: Transaction) -> bytes:
    whole = encode(transaction)
    return whole[: len(whole) * 2 // 3]


def _not_utf8(transaction: Transaction) -> bytes:
    return encode(transaction).replace(b'"merchant-', b'"merchant\xff', 1)


def _fields(transaction: Transaction) -> dict[str, object]:
    plain: dict[str, object] = json.loads(encode(transaction))
    return plain


def _written(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


SHAPES: tuple[tuple[str, Spoil], ...] = (
    (MALFORMED, _truncated),
    (MALFORMED, _not_utf8),
    (MALFORMED, _with("amount_minor", "12.50")),
    (MALFORMED, _without("currency")),
    (MALFORMED, lambda transaction: b"[" + encode(transaction) + b"]"),
    (invalid("schema_version"), _with("schema_version", SCHEMA_VERSION + 1)),
    (invalid("event_time"), _with("event_time", "2026-02-30T25:00:00Z")),
    (invalid("category"), _with("category", "Nowhere")),
    (invalid("amount_minor"), _with("amount_minor", AMOUNT_MINOR_MIN - 1251)),
    (invalid("country"), _with("country", "Germany")),
)
