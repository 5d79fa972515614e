"""Which transactions raise an alert, and in which batch."""

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from fraudctl.recount.judgement import Verdict
from fraudctl.recount.parse import Transaction


class Raised(NamedTuple):
    """The batch that raised the alert, by its place in the ledger, and the first copy's arrival there."""

    place: int
    arrival_ms: int
    transaction: Transaction
    verdict: Verdict


class AlertBook:
    """Takes the verdicts of admitted records in any order.

    A transaction raises one alert: in the first batch in which a copy of it came and the rules of that batch
    say so. A copy that comes after the rules have changed is judged by the new ones.
    """

    def __init__(self) -> None:
        self._raised: dict[str, Raised] = {}

    def judged(self, transaction: Transaction, verdict: Verdict, place: int, arrival_ms: int) -> None:
        """One copy of a transaction, read by the batch at this place of the ledger."""
        if not verdict.alert:
            return
        digest = transaction_digest(transaction)
        before = self._raised.get(digest)
        if before is None or (place, arrival_ms) < before[:2]:
            self._raised[digest] = Raised(place, arrival_ms, transaction, verdict)

    def raised(self) -> dict[str, Raised]:
        """By the transaction's digest."""
        return self._raised


def first_raised(alone: Mapping[str, Raised], by_card: Mapping[str, Raised]) -> dict[str, Raised]:
    """By digest the alert that is raised first; of one batch the one that needs no past of the card."""
    later = {
        digest: one for digest, one in by_card.items() if digest in alone and alone[digest].place <= one.place
    }
    return {**alone, **{digest: one for digest, one in by_card.items() if digest not in later}}


def transaction_digest(transaction: Transaction) -> str:
    """As fraudctl/events/schema.py defines it."""
    return sha256("\u001f".join(map(str, transaction)).encode()).hexdigest()
