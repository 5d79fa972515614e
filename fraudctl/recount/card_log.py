"""Transactions that are flagged because of what their card did before, batch by batch.

The log is cut into windows of twice the horizon, one beginning with every horizon since 1970. A record lies
in two of them, for each partition and card apart. At the end of a batch every such window that the batch has
read a record of is looked at: each transaction in its second half is judged by the rules of the batch, on all
that was read up to then. A window begins so early that the past of its second half lies in it.

Spark forgets a window once the watermark has reached its end, and does not see there what comes later.
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
    """A transaction that a rule on its card's past matches, as the batch at this place of the ledger says.

    `arrival_ms`: the earliest of its copies in that partition; `alone`: of the rules that match, none asks
    only of the transaction itself.
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


# What a transaction's alert is put in order by, and the alert.
_Alert = tuple[tuple[int, int, int], Raised]
OnFlags = Callable[[Iterable[tuple[FlagKey, Marked]]], None]
# Each with its partition and the digest of its transaction.
OnAlerts = Callable[[Iterable[tuple[int, str, Raised]]], None]


@dataclass
class _Partition:
    """`windows`: by the number of the window, then by card; `touched`: of the batch that is being read.

    `marked`, `alerts`: what was found in the second half of each window, by digest.
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
    """Takes the admitted records of the log, copies too, those of each partition in the order of the log."""

    def __init__(
        self,
        horizon_us: int,
        judges: Sequence[CardJudge],
        on_flags: OnFlags | None = None,
        on_alerts: OnAlerts | None = None,
    ) -> None:
        """
        Args:
            horizon_us: no rule looks further back.
            judges: for each batch the one that judges.
            on_flags: called with what was found in windows that have ended, which is then forgotten; of one
                key the last one counts. The default is to remember everything for `marked` and `raised`.
            on_alerts: the same for alerts; of one digest the first by batch, arrival and partition counts.
        """
        self._horizon_us = horizon_us
        self._judges = judges
        self._partitions: dict[int, _Partition] = {}
        self._on_flags = on_flags
        self._on_alerts = on_alerts

    def admitted(
        self, partition: int, place: int, arrival_ms: int, transaction: Transaction, watermark: int
    ) -> None:
        """A record that the batch at this place of the ledger has read.

        `watermark`: in microseconds; the batch does not see what comes for windows that have ended by then.
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
        """The log has been read: judge what the last batch of each partition has touched."""
        for partition, own in self._partitions.items():
            self._end_batch(partition, own)

    def hand_on_all(self) -> None:
        """Hand on what was found in windows that have not ended."""
        for partition, own in self._partitions.items():
            self._hand_on(partition, own, lambda _window: True)

    def marked(self) -> Mapping[FlagKey, Marked]:
        """As the last batch that judged each of them left them."""
        return {
            (partition, digest): one
            for partition, own in self._partitions.items()
            for found in own.marked.values()
            for digest, one in found.items()
        }

    def raised(self) -> dict[str, Raised]:
        """By digest the first alert of each transaction: by batch, then arrival, then partition."""
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
