"""Compute from the log alone the rows that the windows must hold.

This module shares nothing with the detector except the specification: fraudctl/events/schema.py, the rules'
model and the settings.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

from fraudctl.config.model import EventsSettings, LatenessSettings, WindowsSettings
from fraudctl.events.schema import FUTURE, LATE
from fraudctl.recount.card_log import CardLog, FlagKey, Marked
from fraudctl.recount.judgement import CardJudge, judge
from fraudctl.recount.parse import Rejected, Transaction, parser
from fraudctl.recount.raised import AlertBook, Raised, first_raised
from fraudctl.recount.windows import Totals, WindowKey, WindowSums
from fraudctl.rules.model import RuleSet

COUNTED = "counted"
DUPLICATE = "duplicate"
DROPPED_BY_ENGINE = "dropped_by_engine"
ADMITTED_FATES = (COUNTED, DUPLICATE, DROPPED_BY_ENGINE)

# Called with partition and offset of an admitted event; returns microseconds since 1970.
Watermark = Callable[[int, int], int]
NO_WATERMARK = -(2**63)
# Called with partition and offset; returns the index of the batch that read them.
BatchOf = Callable[[int, int], int]
# One record of the log: partition, offset, arrival in milliseconds since 1970, value.
Record = tuple[int, int, int, bytes | None]
Made = TypeVar("Made")
# Called with each rejected record, for callers that need more than its reason.
OnRefused = Callable[[int, int, int, bytes | None], None]


@dataclass(frozen=True)
class Recount:
    """The result of a recount."""

    windows: dict[WindowKey, Totals]
    # By partition, the number of records by outcome (counted, duplicate, dropped_by_engine, or a reason).
    fates: dict[int, Counter[str]]
    rejects: dict[tuple[int, int], str]
    # Transaction ids that came with more than one payload; each of the payloads is counted once.
    conflicts: tuple[str, ...]
    # Expected alerts by digest of the transaction.
    raised: dict[str, Raised]
    # Transactions flagged by rules on a card's past, by partition and digest.
    marked: Mapping[FlagKey, Marked]

    @property
    def read(self) -> int:
        """Return the number of records that were read."""
        return sum(fates.total() for fates in self.fates.values())

    def fate(self, name: str) -> int:
        """Return the number of records with this outcome, over all partitions."""
        return sum(fates[name] for fates in self.fates.values())


def recount(
    records: Iterable[Record],
    *,
    events: EventsSettings,
    windows: WindowsSettings,
    lateness: LatenessSettings,
    rules: RuleSet | Sequence[RuleSet],
    card_horizon_seconds: int | None = None,
    watermark: Watermark = lambda _partition, _offset: NO_WATERMARK,
    batch_of: BatchOf = lambda _partition, _offset: 0,
    on_refused: OnRefused = lambda _partition, _offset, _arrival_ms, _value: None,
) -> Recount:
    """Parse, admit, deduplicate, evaluate and sum every record.

    Args:
        records: the records of the log, those of each partition in the order of the log.
        events: the settings that decide which events are valid.
        windows: the length and slide of the windows.
        lateness: the bounds on the arrival of an event.
        rules: one set for all, or one for each batch, in the order in which the batches were committed.
        card_horizon_seconds: the detector's look-back at a card's past; the default is the longest of the
            rules.
        watermark: the instant (in microseconds) up to which the engine dropped events when it read that
            offset; the default is an engine that never drops any.
        batch_of: the index of the batch that read that offset; the default is one batch for all.
        on_refused: called with each rejected record: partition, offset, arrival in milliseconds, value.
    """
    sets = [rules] if isinstance(rules, RuleSet) else rules
    parse, judges = parser(events), by_rules(sets, judge)
    sums, seen, alerts = WindowSums(windows), _Seen(), AlertBook()
    if card_horizon_seconds is None:
        card_horizon_seconds = max((one.card_horizon_seconds for one in sets), default=0)
    horizon_us = card_horizon_seconds * 1_000_000
    cards = CardLog(horizon_us, by_rules(sets, CardJudge))
    fates: dict[int, Counter[str]] = {}
    rejects: dict[tuple[int, int], str] = {}
    read: Counter[int] = Counter()
    for partition, offset, arrival_ms, value in records:
        read[partition] += 1
        result = admit(parse(value), arrival_ms, lateness)
        if isinstance(result, Rejected):
            fate = rejects[partition, offset] = result.reason
            on_refused(partition, offset, arrival_ms, value)
        else:
            place = batch_of(partition, offset)
            verdict = judges[place](result)
            alerts.judged(result, verdict, place, arrival_ms)
            late_before = watermark(partition, offset)
            if horizon_us:
                cards.admitted(partition, place, arrival_ms, result, late_before)
            dropped = result.event_us <= late_before
            counted_by = seen.counted_by(result)
            if counted_by is None:
                fate = DROPPED_BY_ENGINE if dropped else COUNTED
                if not dropped:
                    seen.remember(result, place)
                    sums.add(result, flagged=verdict.flagged)
            else:
                fate = DUPLICATE
                if place < counted_by and not dropped:
                    # The log is not read in the order of the batches: the detector counted this copy.
                    seen.remember(result, place)
                    before = judges[counted_by](result)
                    sums.judge_again(result, before=before.flagged, now=verdict.flagged)
        fates.setdefault(partition, Counter())[fate] += 1
    assert read == Counter({partition: own.total() for partition, own in fates.items()})
    assert len(rejects) == sum(own[fate] for own in fates.values() for fate in own.keys() - {*ADMITTED_FATES})
    cards.finish()
    raised = first_raised(alerts.raised(), cards.raised())
    return Recount(sums.totals(), fates, rejects, seen.conflicts(), raised, cards.marked())


def by_rules(sets: Sequence[RuleSet], make: Callable[[RuleSet], Made]) -> Sequence[Made]:
    """Return an object made from each set of rules; equal sets share one object."""
    made: dict[str, Made] = {}
    digests = {id(one): one.digest for one in sets}
    for one in sets:
        made.setdefault(digests[id(one)], make(one))
    return [made[digests[id(one)]] for one in sets]


def admit(
    parsed: Transaction | Rejected, arrival_ms: int, lateness: LatenessSettings
) -> Transaction | Rejected:
    """Return a parsed transaction, or its rejection if it arrived too late or too early."""
    if isinstance(parsed, Rejected):
        return parsed
    lag_us = arrival_ms * 1000 - parsed.event_us
    if lag_us > lateness.late_seconds * 1_000_000:
        return Rejected(LATE)
    if -lag_us > lateness.future_seconds * 1_000_000:
        return Rejected(FUTURE)
    return parsed


class _Seen:
    """The counted transactions with the batch that counted each: 16 bytes per payload and per id."""

    def __init__(self) -> None:
        self._payloads: dict[bytes, int] = {}
        self._ids: set[bytes] = set()
        self._conflicts: set[str] = set()

    def counted_by(self, transaction: Transaction) -> int | None:
        return self._payloads.get(payload_digest(transaction))

    def remember(self, transaction: Transaction, place: int) -> None:
        payload = payload_digest(transaction)
        if payload not in self._payloads:
            own = _digest(transaction.transaction_id)
            if own in self._ids:
                self._conflicts.add(transaction.transaction_id)
            self._ids.add(own)
        self._payloads[payload] = place

    def conflicts(self) -> tuple[str, ...]:
        return tuple(sorted(self._conflicts))


def payload_digest(transaction: Transaction) -> bytes:
    """Return a digest that only copies of one transaction share."""
    # repr() of a tuple of str and int is canonical: strings are quoted, so fields cannot run together.
    return _digest(repr(tuple(transaction)))


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()
