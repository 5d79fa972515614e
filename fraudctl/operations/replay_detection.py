"""How good the alerts of a range are and would be, as far as its frauds are known by now."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fraudctl.operations.labels import Labels


@dataclass(frozen=True)
class Found:
    """`precision`: the share of the alerts that is known fraud; `recall`: of the known fraud that alerted."""

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
    live: AbstractSet[str],
    replayed: AbstractSet[str],
    *,
    begin_us: int,
    finish_us: int,
    now_us: int,
) -> Detection | None:
    """Compare alerts with labels, both by transaction id; None where no fraud of the range is known."""
    frauds = {
        label.transaction_id
        for label in labels.values()
        if begin_us <= label.event_us < finish_us and label.reported_us <= now_us
    }
    if not frauds:
        return None
    return Detection(len(frauds), _found(live, frauds), _found(replayed, frauds))


def _found(alerts: AbstractSet[str], frauds: AbstractSet[str]) -> Found:
    hits = len(alerts & frauds)
    return Found(len(alerts), hits, hits / len(alerts) if alerts else None, hits / len(frauds))
