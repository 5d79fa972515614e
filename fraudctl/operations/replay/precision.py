"""How good the alerts of a range are and would be, as far as its frauds are known by now."""

from collections.abc import Sequence
from dataclasses import dataclass

from fraudctl.operations.inputs.join_labels import Subject, join_labels
from fraudctl.operations.inputs.labels import Label, Labels


@dataclass(frozen=True)
class Found:
    """How the alerts of one side meet the known frauds.

    `alerts`: how many there are; `frauds`: known frauds that alerted; `precision`: the share of the alerts
    that is known fraud; `recall`: the share of the known frauds that alerted.
    """

    alerts: int
    frauds: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Detection:
    """`frauds`: transactions of the range whose label had been reported by now.

    Of a young range more will become known: until then what is fraud without a label counts as a false alarm.
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
    """Compare alerts with labels by id, card and time; None where no fraud of the range is known."""
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
