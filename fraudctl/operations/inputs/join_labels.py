"""Join labels with transactions by everything that a label says of its transaction: id, card and time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fraudctl.operations.inputs.labels import Label


class Subject(NamedTuple):
    """The part of a transaction that labels are joined by; `event_us` in microseconds since 1970."""

    transaction_id: str
    card_id: str
    event_us: int


@dataclass(frozen=True)
class JoinReport:
    """The result of joining labels with transactions.

    `matched` labels apply to a transaction, `unmatched` ones to none; of the latter, `of_other_cards` name an
    id that only other cards have. `at_other_times` apply to a transaction of their id and card with another
    time. `shared` labels apply to several transactions, `shared_transactions` together.
    """

    matched: int
    unmatched: int
    of_other_cards: int
    at_other_times: int
    shared: int
    shared_transactions: int


def join_labels(
    labels: Iterable[Label], subjects: Sequence[Subject]
) -> tuple[list[Label | None], JoinReport]:
    """Return the label of each transaction, or None, and a report on the join.

    A label applies to the transactions with its id, its card (where it names one) and its time. Where none
    has its time, it applies to all with its id and card: the clock of a transaction may be wrong.
    """
    places: dict[str, list[int]] = {}
    for place, subject in enumerate(subjects):
        places.setdefault(subject.transaction_id, []).append(place)
    found: list[Label | None] = [None] * len(subjects)
    exact = bytearray(len(subjects))
    counts = dict.fromkeys(("matched", "unmatched", "cards", "times", "shared", "several"), 0)
    for label in labels:
        of_id = places.get(label.transaction_id, ())
        of_card = [one for one in of_id if label.card_id in (None, subjects[one].card_id)]
        at_time = [one for one in of_card if subjects[one].event_us == label.event_us]
        meant = at_time or of_card
        counts["matched" if meant else "unmatched"] += 1
        counts["cards"] += bool(of_id) and not of_card
        counts["times"] += bool(of_card) and not at_time
        if len(meant) > 1:
            counts["shared"] += 1
            counts["several"] += len(meant)
        for one in meant:
            before = found[one]
            # Prefer a label with the transaction's own time, then the earliest report.
            better = before is None or (bool(at_time), -label.reported_us) > (exact[one], -before.reported_us)
            if better:
                found[one], exact[one] = label, bool(at_time)
    report = JoinReport(
        matched=counts["matched"],
        unmatched=counts["unmatched"],
        of_other_cards=counts["cards"],
        at_other_times=counts["times"],
        shared=counts["shared"],
        shared_transactions=counts["several"],
    )
    return found, report


def join_lines(report: JoinReport) -> list[str]:
    """Return as text what a reader must know of the join; nothing where each label met its transaction."""
    lines = []
    if report.shared:
        holds = "1 label holds" if report.shared == 1 else f"{report.shared:,} labels hold"
        lines.append(
            f"{holds} for {report.shared_transactions:,} transactions, which have the same id, card and time"
            " as far as the labels tell"
        )
    if report.of_other_cards:
        lines.append(f"{_labels(report.of_other_cards)} an id that only transactions of other cards have")
    if report.at_other_times:
        lines.append(f"{_labels(report.at_other_times)} another time than the transaction of its id and card")
    return lines


def _labels(count: int) -> str:
    return "1 label names" if count == 1 else f"{count:,} labels name"
