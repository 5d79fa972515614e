"""Read a file of events with the recount's parser, and report lines left out by kind of reason."""

import json
from collections.abc import Iterator
from pathlib import Path

from fraudctl.config.model import EventsSettings
from fraudctl.events.schema import AMOUNT_MINOR_MAX, AMOUNT_MINOR_MIN, FIELDS, MALFORMED, invalid
from fraudctl.operations.inputs.event_files import ReportBuilder, lines_of, not_but
from fraudctl.recount.parse import Rejected, Transaction, parser
from fraudctl.recount.strict_json import complaint, json_kind, read_object

_INVALID = {
    "schema_version": "schema_version is another one",
    "event_time": "event_time is no RFC 3339 time with a zone",
    "category": "category is none of events.categories",
    "amount_minor": f"amount_minor is not from {AMOUNT_MINOR_MIN} to {AMOUNT_MINOR_MAX}",
    "currency": "currency is not events.currency",
    "country": "country is not two capital letters",
    "channel": "channel is not small letters, digits and underscores",
}
# By the beginning of a complaint of strict_json, without the values that differ from line to line.
_KINDS = {
    "the message is not JSON": "not JSON",
    "the message is not UTF-8": "not UTF-8",
    "the message has": "longer than events.max_bytes",
    "the text holds half": "half of a surrogate pair in a text",
    "the JSON is not strict": "JSON that is not strict",
    "the JSON is nested": "nested too deeply",
}


def read_events(file: Path, events: EventsSettings, report: ReportBuilder) -> Iterator[Transaction]:
    """Yield the transactions of a file, including copies.

    Raises:
        UsageError: the file cannot be read.
        DataError: it is another kind of file, or damaged.
    """
    parse = parser(events)
    for number, line in lines_of(file, "event"):
        parsed = parse(line)
        if isinstance(parsed, Rejected):
            report.leave_out(number, *_reason(line, parsed.reason, events))
        else:
            report.take()
            yield parsed


def _reason(line: bytes, reason: str, events: EventsSettings) -> tuple[str, str]:
    """Return the kind of reason, and an example of it."""
    said = complaint(line, events.max_bytes)
    if said:
        kind = next((kind for beginning, kind in _KINDS.items() if said.startswith(beginning)), said)
        return kind, f"{said}: {_text(line)}" if kind == "JSON that is not strict" else _text(line)
    document = read_object(line, events.max_bytes) or {}
    if reason != MALFORMED:
        name = next(one for one in FIELDS if invalid(one) == reason)
        return _INVALID.get(name, f"{name} holds characters that are not allowed"), _json(document.get(name))
    if {"scenario", "reported_at"} <= document.keys():
        return not_but("labels"), _text(line)
    missing = [name for name in FIELDS if name not in document]
    if missing:
        return "fields are missing", ", ".join(missing)
    unknown = [name for name in document if name not in FIELDS]
    if unknown:
        return "fields that an event does not have", ", ".join(unknown)
    for name, kind in FIELDS.items():
        if type(document[name]) is not {"integer": int, "string": str}[kind]:
            article = "an integer" if kind == "integer" else "a string"
            return f"{name} is not {article}", f"it is {json_kind(document[name])}: {_text(line)}"
    return "no event", _text(line)


def _text(line: bytes) -> str:
    return line[:400].decode("utf-8", "replace")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
