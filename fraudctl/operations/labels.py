"""What is known of fraud, and since when: from the topic of labels, or from a file."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fraudctl.broker.log import read_ranges
from fraudctl.broker.topics import end_offsets
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.errors import DataError, RefusedError
from fraudctl.operations.event_files import lines_of
from fraudctl.recount.instants import parse_instant

_SILENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Label:
    """One fraud; instants in microseconds since 1970. It must not be known before `reported_us`."""

    transaction_id: str
    scenario: str
    event_us: int
    reported_us: int


Labels = dict[str, Label]


def labels_from_file(file: Path) -> Labels:
    """By transaction id.

    Raises:
        UsageError: it cannot be read.
        DataError: a line is no label.
    """
    return _labels((f"{file}:{number}", line) for number, line in enumerate(lines_of(file), start=1))


def labels_from_topic(settings: Settings, endpoints: Endpoints) -> Labels:
    """By transaction id.

    Raises:
        RefusedError: there is no such topic.
        DataError: a message is no label.
        UnreachableError: the broker does not answer.
    """
    servers, topic = endpoints.bootstrap_servers, settings.kafka.labels_topic
    try:
        held = end_offsets(servers, topic, timeout_seconds=settings.timeouts.connect_seconds)
    except RefusedError as error:
        raise RefusedError(
            f"there are no labels: {error.message}",
            detail=error.detail,
            hint="`fraudctl produce --preset everyday` sends some, or give --events and --labels",
        ) from error
    records = read_ranges(servers, topic, held, timeout_seconds=_SILENCE_SECONDS)
    return _labels((f"{topic} {record.partition}/{record.offset}", record.value or b"") for record in records)


def labels_if_any(settings: Settings, endpoints: Endpoints) -> Labels:
    """The same; none where nobody has ever sent one.

    Raises:
        DataError: a message is no label.
        UnreachableError: the broker does not answer.
    """
    try:
        return labels_from_topic(settings, endpoints)
    except RefusedError:
        return {}


def _labels(lines: Iterable[tuple[str, bytes]]) -> Labels:
    result: Labels = {}
    for place, line in lines:
        label = _label(place, line)
        known = result.get(label.transaction_id)
        if known is None or label.reported_us < known.reported_us:
            result[label.transaction_id] = label
    return result


def _label(place: str, line: bytes) -> Label:
    try:
        document = json.loads(line)
        times = parse_instant(document["event_time"]), parse_instant(document["reported_at"])
        if times[0] is None or times[1] is None:
            raise ValueError("a time that does not exist")
        return Label(str(document["transaction_id"]), str(document["scenario"]), times[0], times[1])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{place} is no label",
            detail=f"{type(error).__name__}: {error}",
            hint="a label has transaction_id, event_time, scenario and reported_at",
        ) from error
