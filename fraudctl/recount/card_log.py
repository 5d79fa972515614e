"""Transactions that rules on a card's past flag, batch by batch.

The log is cut into windows of twice the look-back, and a new window begins with every look-back since 1970. A
record lies in two of them, separately for each partition and card. At the end of a batch, every window that
the batch has read a record of is evaluated: each transaction in the window's second half, by the rules of the
batch, with everything read up to then. The first half of the window holds the past of the second one.

Spark forgets a window once the watermark has reached its end, and ignores records that come for it later.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fraudctl.recount.judgement import CardJudge, Verdict
from fraudctl.recount.parse import Transaction
from fraudctl.recount.past import pasts_by_span
from fraudctl.recount.raised import Raised, transaction_digest

# (partition, digest of the transaction): a copy in another partition has another past.
FlagKey = tuple[int, str]


class Marked(NamedTuple):
    """A transaction flagged by a rule on its card's past, with the verdict of the batch at index `place`.

    `arrival_ms`: the earliest of its copies in that partition; `alone`: every rule that matches looks at the
    card's past.
    """

    place: int
    arrival_ms: int
    transaction: Transaction
    verdict: Verdict
    alone: bool


class _Seen(NamedTuple):
    transaction: Transaction
    arrival_ms: int


# The transactions of one card in one window, by digest.
_Card = dict[str, _Seen]


# The rank of a transaction's alert (batch, arrival, partition), and the alert.
_Alert = tuple[tuple[int, int, int], Raised]
OnFlags = Callable[[Iterable[tuple[FlagKey, Marked]]], None]
# Called with (partition, digest of the transaction, alert).
OnAlerts = Callable[[Iterable[tuple[int, str, Raised]]], None]


@dataclass
class _Partition:
    """The state of one partition.

    `windows`: by the number of the window, then by card; `touched`: windows and cards of the current batch.
    `marked`, `alerts`: results for the second half of each window, by digest.
    """

    place: int
    windows: dict[int, dict[str, _Card]] = field(default_factory=dict)
    touched: set[tuple[int, str]] = field(default_factory=set)
    marked: dict[int, dict[str, Marked]] = field(default_factory=dict)
    alerts: dict[int, dict[str, _Alert]] = field(default_factory=dict)

    def forget(self, ended: Callable[[int], bool]) -> None:
        for window in [one for one in self.windows if ended(one)]:
            del self.windows[window]


class CardLog:
    """An evaluator of rules on a card's past, for the admitted records of the log, including copies.

    The records of each partition must come in the order of the log.
    """

    def __init__(
        self,
        horizon_us: int,
        judges: Sequence[CardJudge],
        on_flags: OnFlags | None = None,
        on_alerts: OnAlerts | None = None,
    ) -> None:
        """Start with an empty log.

        Args:
            horizon_us: the look-back in microseconds; no rule looks further back.
            judges: for each batch the evaluator of its rules.
            on_flags: called with the flags of windows that have ended, which are then forgotten; of one key
                the last one counts. The default is to keep everything for `marked` and `raised`.
            on_alerts: called likewise with alerts; of one digest the first by batch, arrival and partition
                counts.
        """
        self._horizon_us = horizon_us
        self._judges = judges
        self._partitions: dict[int, _Partition] = {}
        self._on_flags = on_flags
        self._on_alerts = on_alerts

    def admitted(
        self, partition: int, place: int, arrival_ms: int, transaction: Transaction, watermark: int
    ) -> None:
        """Take a record that the batch at index `place` of the ledger has read.

        `watermark`: in microseconds; the batch does not see records of windows that have ended by then.
        """
        own = self._partitions.get(partition)
        if own is None:
            own = self._partitions[partition] = _Partition(place)
        if own.place != place:
            self._end_batch(partition, own)
            own.place = place
            own.forget(lambda window: self._ended(window, watermark))
            self._hand_on(partition, own, lambda window: self._ended(window, watermark))
        digest = transaction_digest(transaction)
        slot = transaction.event_us // self._horizon_us
        for window in (slot - 1, slot):
            if self._ended(window, watermark):
                continue
            card = own.windows.setdefault(window, {}).setdefault(transaction.card_id, {})
            before = card.get(digest)
            if before is None or arrival_ms < before.arrival_ms:
                card[digest] = _Seen(transaction, arrival_ms)
            own.touched.add((window, transaction.card_id))

    def finish(self) -> None:
        """Evaluate the records of each partition's last batch, after the whole log was read."""
        for partition, own in self._partitions.items():
            self._end_batch(partition, own)

    def hand_on_all(self) -> None:
        """Hand the results of windows that have not ended to the callbacks."""
        for partition, own in self._partitions.items():
            self._hand_on(partition, own, lambda _window: True)

    def marked(self) -> Mapping[FlagKey, Marked]:
        """Return the flagged transactions, each as the last batch that evaluated it left it."""
        return {
            (partition, digest): one
            for partition, own in self._partitions.items()
            for found in own.marked.values()
            for digest, one in found.items()
        }

    def raised(self) -> dict[str, Raised]:
        """Return the first alert of each transaction by digest: by batch, then arrival, then partition."""
        first: dict[str, _Alert] = {}
        for own in self._partitions.values():
            for found in own.alerts.values():
                for digest, alert in found.items():
                    if digest not in first or alert[0] < first[digest][0]:
                        first[digest] = alert
        return {digest: raised for digest, (_rank, raised) in first.items()}

    def _hand_on(self, partition: int, own: _Partition, ended: Callable[[int], bool]) -> None:
        if self._on_flags is None or self._on_alerts is None:
            return
        for window in [one for one in own.marked if ended(one)]:
            self._on_flags(((partition, digest), one) for digest, one in own.marked.pop(window).items())
        for window in [one for one in own.alerts if ended(one)]:
            self._on_alerts(
                (partition, digest, raised) for digest, (_rank, raised) in own.alerts.pop(window).items()
            )

    def _end_batch(self, partition: int, own: _Partition) -> None:
        judge = self._judges[own.place]
        if judge.spans_us:
            for window, card in own.touched:
                self._judge(partition, own, window, card, judge)
        own.touched.clear()

    def _judge(self, partition: int, own: _Partition, window: int, card: str, judge: CardJudge) -> None:
        seen = own.windows[window][card]
        second_half_us = (window + 1) * self._horizon_us
        if all(one.transaction.event_us < second_half_us for one in seen.values()):
            return
        order = sorted(seen, key=lambda digest: (seen[digest].transaction.event_us, digest))
        history = [seen[digest].transaction for digest in order]
        for digest, (transaction, pasts) in zip(order, pasts_by_span(history, judge.spans_us), strict=True):
            if transaction.event_us < second_half_us:
                continue
            found = judge(transaction, pasts)
            if found.by_card:
                marked = Marked(own.place, seen[digest].arrival_ms, transaction, found.verdict, found.alone)
                own.marked.setdefault(window, {})[digest] = marked
                if found.verdict.alert:
                    rank = (marked.place, marked.arrival_ms, partition)
                    alerts = own.alerts.setdefault(window, {})
                    if digest not in alerts or rank < alerts[digest][0]:
                        alerts[digest] = (rank, Raised(*marked[:4]))

    def _ended(self, window: int, watermark: int) -> bool:
        return (window + 2) * self._horizon_us <= watermark
