"""Fraud labels with the time of their report, read from the topic of labels or from a file."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fraudctl.broker.log import read_ranges
from fraudctl.broker.topics import MissingTopicError, end_offsets
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.errors import DataError
from fraudctl.events.schema import FIELDS, PATTERNS
from fraudctl.operations.inputs.event_files import (
    FileReport,
    ReportBuilder,
    check_some_taken,
    lines_of,
    not_but,
    one_line,
    shown,
)
from fraudctl.recount.instants import parse_instant

_SILENCE_SECONDS = 30.0
_TIME = re.compile(PATTERNS["event_time"])
_NEEDED = ("transaction_id", "event_time", "scenario", "reported_at")


@dataclass(frozen=True, slots=True)
class Label:
    """A reported fraud; instants in microseconds since 1970. It must not be known before `reported_us`.

    `card_id` is None where the label names no card.
    """

    transaction_id: str
    scenario: str
    event_us: int
    reported_us: int
    card_id: str | None = None


# (transaction id, card, time): everything that a label says of its transaction.
LabelKey = tuple[str, str | None, int]
Labels = dict[LabelKey, Label]


@dataclass(frozen=True)
class LabelFile:
    """The labels of a file, the report on reading it, and the ids whose labels contradict each other."""

    labels: Labels
    report: FileReport
    contradictions: tuple[str, ...]


class NoLabelError(ValueError):
    """An error for a line that is no label: `reason` is a kind, `example` the text that was found."""

    def __init__(self, reason: str, example: str = "") -> None:
        """Store the kind of reason, and the text that was found, if it is not the whole line."""
        super().__init__(reason)
        self.reason = reason
        self.example = example


def key_of(label: Label) -> LabelKey:
    """Return the key that identifies this label's transaction."""
    return label.transaction_id, label.card_id, label.event_us


def labels_from_file(file: Path) -> LabelFile:
    """Return the labels of a file; of several for one transaction, the one that was reported first.

    Raises:
        UsageError: it cannot be read.
        DataError: it is another kind of file, or no line of it is a label.
    """
    builder = ReportBuilder(file, "label")
    labels: Labels = {}
    first: dict[str, tuple[int, Label]] = {}
    contradictions: dict[str, str] = {}
    for number, line in lines_of(file, "label"):
        try:
            label = _label(line)
        except NoLabelError as error:
            builder.leave_out(number, error.reason, error.example or _text(line))
            continue
        builder.take()
        _keep(labels, label)
        line_before, before = first.setdefault(label.transaction_id, (number, label))
        if before != label and label.transaction_id not in contradictions:
            name, differ = one_line(label.transaction_id), _differ(before, label)
            contradictions[label.transaction_id] = f"{name} in lines {line_before:,} and {number:,}: {differ}"
    report = builder.report()
    check_some_taken(report)
    return LabelFile(labels, report, tuple(contradictions.values()))


def labels_from_topic(settings: Settings, endpoints: Endpoints) -> Labels:
    """Return the labels of the topic; of several for one transaction, the one that was reported first.

    Raises:
        RefusedError: there is no such topic.
        DataError: a message is no label.
        UnreachableError: the broker does not answer.
    """
    servers, topic = endpoints.bootstrap_servers, settings.kafka.labels_topic
    try:
        held = end_offsets(servers, topic, timeout_seconds=settings.timeouts.connect_seconds)
    except MissingTopicError as error:
        raise MissingTopicError(
            f"there are no labels: {error.message}",
            detail=error.detail,
            hint="`fraudctl produce --preset everyday` sends some, or give --events and --labels",
        ) from error
    records = read_ranges(servers, topic, held, timeout_seconds=_SILENCE_SECONDS)
    return _labels((f"{topic} {record.partition}/{record.offset}", record.value or b"") for record in records)


def labels_if_any(settings: Settings, endpoints: Endpoints) -> Labels:
    """Return the labels of the topic; an empty dict if it does not exist or has lost records meanwhile.

    Raises:
        DataError: a message is no label.
        UnreachableError: the broker does not answer.
    """
    try:
        return labels_from_topic(settings, endpoints)
    except MissingTopicError:
        return {}


def _labels(lines: Iterable[tuple[str, bytes]]) -> Labels:
    result: Labels = {}
    for place, line in lines:
        try:
            _keep(result, _label(line))
        except NoLabelError as error:
            raise DataError(
                f"{place} is no label",
                detail=f"{error.reason}: {shown(error.example or _text(line))}",
                hint="a label has transaction_id, event_time, scenario and reported_at",
            ) from error
    return result


def _keep(labels: Labels, label: Label) -> None:
    key = key_of(label)
    known = labels.get(key)
    if known is None or label.reported_us < known.reported_us:
        labels[key] = label


def _differ(before: Label, label: Label) -> str:
    names = {
        "card_id": before.card_id != label.card_id,
        "event_time": before.event_us != label.event_us,
        "scenario": before.scenario != label.scenario,
        "reported_at": before.reported_us != label.reported_us,
    }
    return f"another {', '.join(name for name, differs in names.items() if differs)}"


def _label(line: bytes) -> Label:
    """Return the label that a line holds.

    Raises:
        NoLabelError: it holds none.
    """
    try:
        document = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NoLabelError("not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise NoLabelError("not JSON") from error
    if not isinstance(document, dict):
        raise NoLabelError("JSON, but not an object")
    if "scenario" not in document and len(FIELDS.keys() & document.keys()) >= len(FIELDS) - 1:
        raise NoLabelError(not_but("events"))
    missing = [name for name in _NEEDED if document.get(name) is None]
    if missing:
        raise NoLabelError("fields are missing", ", ".join(missing))
    return Label(
        _identifier(document, "transaction_id"),
        str(document["scenario"]),
        _instant(document, "event_time"),
        _instant(document, "reported_at"),
        _identifier(document, "card_id") if document.get("card_id") not in (None, "") else None,
    )


def _identifier(document: dict[str, object], name: str) -> str:
    """Return an id as text: 5, 5.0 and " 5" are the id 5."""
    value = document[name]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise NoLabelError(f"{name} is no text", json.dumps(value, default=str))
    return str(value).strip()


def _instant(document: dict[str, object], name: str) -> int:
    value = document[name]
    instant = parse_instant(value) if isinstance(value, str) and _TIME.fullmatch(value) else None
    if instant is None:
        raise NoLabelError(f"{name} is no RFC 3339 time with a zone", json.dumps(value, default=str))
    return instant


def _text(line: bytes) -> str:
    return line[:400].decode("utf-8", "replace")
