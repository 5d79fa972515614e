"""Parse one message into a transaction, or into the reason for its rejection."""

import re
from collections.abc import Callable
from typing import NamedTuple

from fraudctl.config.model import EventsSettings
from fraudctl.events.schema import (
    AMOUNT_MINOR_MAX,
    AMOUNT_MINOR_MIN,
    FIELDS,
    MALFORMED,
    PATTERNS,
    SCHEMA_VERSION,
    invalid,
)
from fraudctl.recount.instants import parse_instant
from fraudctl.recount.strict_json import read_object


class Transaction(NamedTuple):
    """The parsed fields of an event; two transactions are the same when all fields are equal."""

    schema_version: int
    transaction_id: str
    event_us: int
    card_id: str
    merchant_id: str
    category: str
    amount_minor: int
    currency: str
    country: str
    channel: str


class Rejected(NamedTuple):
    """A message that is rejected, with the reason."""

    reason: str


_JSON_TYPES = {"integer": int, "string": str}
_EXPECTED = tuple((name, _JSON_TYPES[kind]) for name, kind in FIELDS.items())
_EVENT_TIME = re.compile(PATTERNS["event_time"])


def parser(events: EventsSettings) -> Callable[[bytes | None], Transaction | Rejected]:
    """Return a function that parses message values under these settings."""
    categories = frozenset(events.categories)
    checks: dict[str, Callable[[object], object]] = {
        "schema_version": lambda value: value == SCHEMA_VERSION,
        "category": lambda value: value in categories,
        "amount_minor": range(AMOUNT_MINOR_MIN, AMOUNT_MINOR_MAX + 1).__contains__,
        "currency": lambda value: value == events.currency,
    }
    # The currency needs no pattern: it must equal a setting that already matches it.
    for name in PATTERNS.keys() - {"event_time", "currency"}:
        checks[name] = re.compile(PATTERNS[name]).fullmatch  # type: ignore[assignment]
    ordered = [(name, checks.get(name)) for name in FIELDS]

    def parse(value: bytes | None) -> Transaction | Rejected:
        document = read_object(value, events.max_bytes)
        if document is None or len(document) != len(_EXPECTED):
            return Rejected(MALFORMED)
        for name, kind in _EXPECTED:
            # type() and not isinstance(): True is an int to Python, but no integer in JSON.
            if type(document.get(name)) is not kind:
                return Rejected(MALFORMED)
        event_us: int | None = None
        for name, check in ordered:
            if check is not None:
                if not check(document[name]):
                    return Rejected(invalid(name))
            else:
                text = document[name]
                event_us = parse_instant(text) if _EVENT_TIME.fullmatch(text) else None
                if event_us is None:
                    return Rejected(invalid(name))
        document["event_time"] = event_us
        return Transaction._make(document[name] for name in FIELDS)

    return parse
