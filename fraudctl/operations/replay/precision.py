"""Precision and recall of the live and the replayed alerts of a range, from the frauds known so far."""

from collections.abc import Sequence
from dataclasses import dataclass

from fraudctl.operations.inputs.join_labels import Subject, join_labels
from fraudctl.operations.inputs.labels import Label, Labels


@dataclass(frozen=True)
class Found:
    """A comparison of one side's alerts with the known frauds.

    `alerts`: their number; `frauds`: known frauds that alerted; `precision`: the share of the alerts that is
    known fraud; `recall`: the share of the known frauds that alerted.
    """

    alerts: int
    frauds: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Detection:
    """Precision and recall of both sides; `frauds`: transactions of the range already reported as fraud.

    Frauds of a recent range may still be unreported; an alert on one of them counts as a false alarm until
    then.
    """

    frauds: int
    live: Found
    replayed: Found


def detection(
    labels: Labels,
    live: Sequence[Subject],
    replayed: Sequence[Subject],
    *,
    begin_us: int,
    finish_us: int,
    now_us: int,
) -> Detection | None:
    """Compare alerts with labels by id, card and time; return None where no fraud of the range is known."""
    frauds = [
        label
        for label in labels.values()
        if begin_us <= label.event_us < finish_us and label.reported_us <= now_us
    ]
    if not frauds:
        return None
    return Detection(len(frauds), _found(live, frauds), _found(replayed, frauds))


def _found(alerts: Sequence[Subject], frauds: Sequence[Label]) -> Found:
    of_alerts, report = join_labels(frauds, alerts)
    hits = sum(label is not None for label in of_alerts)
    return Found(
        len(alerts),
        report.matched,
        hits / len(alerts) if alerts else None,
        report.matched / len(frauds),
    )
