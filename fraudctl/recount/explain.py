"""Explain in words why one record is rejected, saying only what was found out."""

import json
import re
from dataclasses import dataclass

from fraudctl.config.model import EventsSettings, LatenessSettings
from fraudctl.events.card_numbers import mask
from fraudctl.events.schema import (
    AMOUNT_MINOR_MAX,
    AMOUNT_MINOR_MIN,
    FIELDS,
    FUTURE,
    LATE,
    MALFORMED,
    PATTERNS,
    SCHEMA_VERSION,
)
from fraudctl.recount.instants import instant_text
from fraudctl.recount.parse import Rejected, Transaction, parser
from fraudctl.recount.recount import admit
from fraudctl.recount.strict_json import complaint, json_kind, read_object

_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Explanation:
    """An explanation of a record's rejection.

    `reason` is the dead letter's, empty for a record that would be admitted; `field` is the wrong one.
    """

    reason: str
    field: str | None
    text: str


def explain(
    value: bytes | None, arrival_ms: int, *, events: EventsSettings, lateness: LatenessSettings
) -> Explanation:
    """Explain whether a record with this value and arrival time is admitted, and why not."""
    parsed = parser(events)(value)
    result = admit(parsed, arrival_ms, lateness)
    if isinstance(parsed, Transaction):
        lag = (arrival_ms * 1000 - parsed.event_us) / 1_000_000
        return _timed(result, lag, instant_text(parsed.event_us), lateness)
    if parsed.reason == MALFORMED:
        field, text = _malformed(value, events)
        return Explanation(MALFORMED, field, text)
    document = read_object(value, events.max_bytes) or {}
    field = parsed.reason.removeprefix("invalid_")
    return Explanation(parsed.reason, field, _invalid(field, document[field], events))


def _timed(
    result: Transaction | Rejected, lag: float, event_time: str, lateness: LatenessSettings
) -> Explanation:
    if not isinstance(result, Rejected):
        return Explanation("", None, "the event is well formed and arrives in time")
    if result.reason == LATE:
        text = f"it arrives {lag:,.3f} s after event_time {event_time}, lateness.late_seconds allows"
        return Explanation(LATE, "event_time", f"{text} {lateness.late_seconds:,}")
    text = f"it arrives {-lag:,.3f} s before event_time {event_time}, lateness.future_seconds allows"
    return Explanation(FUTURE, "event_time", f"{text} {lateness.future_seconds:,}")


def _malformed(value: bytes | None, events: EventsSettings) -> tuple[str | None, str]:
    """Return the field at fault, if there is one, and what is wrong."""
    problem = complaint(value, events.max_bytes)
    document = read_object(value, events.max_bytes)
    if document is None:
        return None, problem
    if missing := [name for name in FIELDS if name not in document]:
        return missing[0], f"fields are missing: {', '.join(missing)}"
    if unknown := [name for name in document if name not in FIELDS]:
        return None, f"fields that the schema does not have: {', '.join(map(_shown, unknown[:5]))}"
    types = {"integer": int, "string": str}
    for name, kind in FIELDS.items():
        if type(document[name]) is not types[kind]:
            article = "an" if kind == "integer" else "a"
            return name, f"{name} is {json_kind(document[name])}, and must be {article} {kind}"
    return None, "it does not have the form that fraudctl/events/schema.py describes"


def _invalid(field: str, value: object, events: EventsSettings) -> str:
    wanted = {
        "schema_version": f"must be {SCHEMA_VERSION}",
        "category": f"must be one of {', '.join(events.categories)}",
        "amount_minor": f"must be from {AMOUNT_MINOR_MIN:,} to {AMOUNT_MINOR_MAX:,}",
        "currency": f"must be {events.currency}",
        "event_time": _calendar(value),
    }
    return f"{field} is {_shown(value)}, {wanted.get(field) or f'must match {PATTERNS[field]}'}"


def _calendar(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(PATTERNS["event_time"], value):
        return "a day or a time that does not exist"
    return "must be RFC 3339 with a zone, in the years 2000 to 2099, to the microsecond at most"


def _shown(value: object) -> str:
    text = mask(json.dumps(value, ensure_ascii=True))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
