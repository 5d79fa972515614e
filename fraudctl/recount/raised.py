"""Expected alerts: the transactions that alert, and the batch in which each does."""

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from fraudctl.recount.judgement import Verdict
from fraudctl.recount.parse import Transaction


class Raised(NamedTuple):
    """An expected alert, with its batch's index in the ledger and the arrival of the first copy there."""

    place: int
    arrival_ms: int
    transaction: Transaction
    verdict: Verdict


class AlertBook:
    """A collector of expected alerts, from the verdicts of admitted records in any order.

    A transaction alerts once: in the first batch that reads a copy of it and whose rules say so. A copy that
    comes after the rules have changed is evaluated by the new ones.
    """

    def __init__(self) -> None:
        """Start with no alerts."""
        self._raised: dict[str, Raised] = {}

    def judged(self, transaction: Transaction, verdict: Verdict, place: int, arrival_ms: int) -> None:
        """Take one copy of a transaction, read by the batch at index `place` of the ledger."""
        if not verdict.alert:
            return
        digest = transaction_digest(transaction)
        before = self._raised.get(digest)
        if before is None or (place, arrival_ms) < before[:2]:
            self._raised[digest] = Raised(place, arrival_ms, transaction, verdict)

    def raised(self) -> dict[str, Raised]:
        """Return the alerts, by the transaction's digest."""
        return self._raised


def first_raised(alone: Mapping[str, Raised], by_card: Mapping[str, Raised]) -> dict[str, Raised]:
    """Return the first alert by digest; within one batch, the one that does not need the card's past."""
    later = {
        digest: one for digest, one in by_card.items() if digest in alone and alone[digest].place <= one.place
    }
    return {**alone, **{digest: one for digest, one in by_card.items() if digest not in later}}


def transaction_digest(transaction: Transaction) -> str:
    """Return the digest of a transaction that fraudctl/events/schema.py defines."""
    return sha256("\u001f".join(map(str, transaction)).encode()).hexdigest()
