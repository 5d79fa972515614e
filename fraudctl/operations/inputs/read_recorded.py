"""Read recorded transactions and their labels from files, to train models on them."""

from dataclasses import dataclass
from pathlib import Path

from fraudctl.config.model import Settings
from fraudctl.operations.inputs.event_files import (
    FileReport,
    ReportBuilder,
    check_some_taken,
    too_many_left_out,
)
from fraudctl.operations.inputs.join_labels import JoinReport, Subject, join_labels
from fraudctl.operations.inputs.labels import Label, labels_from_file
from fraudctl.operations.inputs.read_events import read_events
from fraudctl.recount.parse import Transaction
from fraudctl.recount.recount import payload_digest


@dataclass(frozen=True)
class RecordedReport:
    """The report on reading and joining files of events and labels.

    `contradictions` are ids whose labels differ.
    """

    files: tuple[FileReport, ...]
    join: JoinReport
    contradictions: tuple[str, ...]


@dataclass(frozen=True)
class Recorded:
    """The distinct transactions of a file, with the label of each, or None, at the same index."""

    transactions: list[Transaction]
    labels: list[Label | None]
    report: RecordedReport


def read_recorded(settings: Settings, events: Path, labels: Path, *, allowed_rejected: float) -> Recorded:
    """Return the transactions of one file with the labels of another.

    Args:
        settings: the settings that decide which events are valid.
        events: the file of events.
        labels: the file of labels.
        allowed_rejected: the share of the lines of either file that may be left out, 0 to 1.

    Raises:
        UsageError: a file cannot be read.
        DataError: one is another kind of file, or too many of its lines were left out.
    """
    known = labels_from_file(labels)
    builder = ReportBuilder(events, "event")
    transactions: list[Transaction] = []
    seen: set[bytes] = set()
    for one in read_events(events, settings.events, builder):
        payload = payload_digest(one)
        if payload not in seen:
            seen.add(payload)
            transactions.append(one)
    read = builder.report()
    check_some_taken(read)
    error = too_many_left_out(allowed_rejected, read, known.report)
    if error is not None:
        raise error
    subjects = [Subject(one.transaction_id, one.card_id, one.event_us) for one in transactions]
    found, join = join_labels(known.labels.values(), subjects)
    return Recorded(transactions, found, RecordedReport((read, known.report), join, known.contradictions))
