"""Evaluated transactions with their verdicts, read from the log with the ledger's batches, or from a file."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraudctl.broker import topics
from fraudctl.broker.log import read_ranges
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.database.snapshot import read_snapshot
from fraudctl.errors import RefusedError
from fraudctl.operations.inputs.event_files import FileReport, ReportBuilder, check_some_taken
from fraudctl.operations.inputs.join_labels import Subject
from fraudctl.operations.inputs.read_events import read_events
from fraudctl.recount.card_log import CardLog
from fraudctl.recount.hindsight import in_hindsight
from fraudctl.recount.judgement import CardJudge, Verdict, judge
from fraudctl.recount.ledger import Ledger
from fraudctl.recount.parse import Rejected, Transaction, parser
from fraudctl.recount.recount import admit, by_rules, payload_digest
from fraudctl.rules.model import RuleSet

# A broker that is starting, or fetching from a slow disk, may be silent for a while.
_SILENCE_SECONDS = 30.0


@dataclass
class JudgedEvents:
    """Columns with one entry per transaction, in the order in which they were read.

    `matched` holds for each rule that matched anything the indexes of its transactions; `cards` are numbers,
    `amounts` minor units, `times` microseconds since 1970.
    """

    ids: list[str] = field(default_factory=list)
    times: "array[int]" = field(default_factory=lambda: array("q"))
    amounts: "array[int]" = field(default_factory=lambda: array("q"))
    cards: "array[int]" = field(default_factory=lambda: array("q"))
    scores: "array[int]" = field(default_factory=lambda: array("q"))
    alerts: bytearray = field(default_factory=bytearray)
    matched: dict[str, set[int]] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)  # action by id
    refused: int = 0  # lines or records that are no admissible event; they have no index
    report: FileReport | None = None  # on reading the file that the events come from
    _numbers: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of transactions."""
        return len(self.ids)

    def add(self, transaction: Transaction, verdict: Verdict) -> int:
        """Append a transaction with its verdict, and return its index."""
        place = len(self.ids)
        self.ids.append(transaction.transaction_id)
        self.times.append(transaction.event_us)
        self.amounts.append(transaction.amount_minor)
        self.cards.append(self._numbers.setdefault(transaction.card_id, len(self._numbers)))
        self.scores.append(0)
        self.alerts.append(0)
        self.judge(place, verdict)
        return place

    def judge(self, place: int, verdict: Verdict, before: Verdict | None = None) -> None:
        """Store a verdict at an index, and undo the effect of the verdict `before` it."""
        for rule in before.rules if before else ():
            self.matched[rule].discard(place)
        self.scores[place] = verdict.score
        self.alerts[place] = verdict.alert
        for rule in verdict.rules:
            self.matched.setdefault(rule, set()).add(place)

    def add_flag(self, place: int, verdict: Verdict) -> None:
        """Add to the verdict at an index what rules on the card's past add; the alert is set separately."""
        self.scores[place] = max(self.scores[place], verdict.score)
        for rule in verdict.rules:
            self.matched.setdefault(rule, set()).add(place)

    def subjects(self) -> list[Subject]:
        """Return the keys of all transactions for joining them with labels."""
        names = list(self._numbers)
        return [
            Subject(one, names[card], event_us)
            for one, card, event_us in zip(self.ids, self.cards, self.times, strict=True)
        ]

    def column(self, name: str) -> NDArray[np.int64]:
        """Return a column as an array, by its attribute's name."""
        return np.array(getattr(self, name), dtype=np.int64)

    def where(self, places: Iterable[int]) -> NDArray[np.bool_]:
        """Return a mask that is True at these indexes."""
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[np.fromiter(places, dtype=np.int64)] = True
        return mask


def from_file(file: Path, settings: Settings, rules: RuleSet) -> JudgedEvents:
    """Return the well-formed events of a file, each once, evaluated with all of them known.

    Raises:
        UsageError: it cannot be read.
        DataError: it is another kind of file, or no line of it is an event.
    """
    builder = ReportBuilder(file, "event")
    result = JudgedEvents(rules=_actions([rules]))
    # A file counts as one partition: it names none, and producers key by card.
    transactions = ((0, one) for one in read_events(file, settings.events, builder))
    for transaction, verdict in in_hindsight(rules, transactions):
        result.add(transaction, verdict)
    result.report = builder.report()
    result.refused = result.report.left_out
    check_some_taken(result.report)
    return result


def from_log(settings: Settings, endpoints: Endpoints) -> JudgedEvents:
    """Return the transactions that the detector has evaluated, each with the verdict of its counting batch.

    Matches of rules on a card's past, found in that batch or in a later one, are added.

    Raises:
        RefusedError: no batch is committed, or the log no longer holds what was read.
        UnreachableError, ConfigError: broker or database does not answer.
    """
    seconds = settings.timeouts.connect_seconds
    snapshot = read_snapshot(endpoints.postgres, connect_seconds=seconds)
    ledger = Ledger(snapshot.batches)
    if not ledger.ranges:
        raise RefusedError(
            "nothing has landed yet, so there is nothing to evaluate",
            hint="run `fraudctl produce --preset everyday` and `fraudctl detect`, or give --events, --labels",
        )
    _refuse_other_topic(settings, endpoints, ledger)
    sets, unknown = ledger.rule_sets(snapshot.rule_sets)
    if unknown:
        raise RefusedError(
            "it cannot be told which rules judged every batch",
            detail=f"{unknown[0].stored} (batch {unknown[0].batch_id})",
            hint="`fraudctl verify-idempotency` names every such batch",
        )
    records = read_ranges(
        endpoints.bootstrap_servers, settings.kafka.topic, ledger.ranges, timeout_seconds=_SILENCE_SECONDS
    )
    judges = by_rules(sets, judge)
    horizon_us = ledger.card_horizon_seconds * 1_000_000
    # Only the result of rules on cards matters, not the batch: evaluating once per segment is much faster.
    stretches = ledger.stretches
    card_judges = dict(zip(stretches, by_rules(sets, CardJudge), strict=True))
    cards = CardLog(horizon_us, list(card_judges.values()))
    parse = parser(settings.events)
    result = JudgedEvents(rules=_actions(sets))
    known: dict[bytes, tuple[int, int]] = {}
    for partition, offset, arrival_ms, value in records:
        parsed = admit(parse(value), arrival_ms, settings.lateness)
        if isinstance(parsed, Rejected):
            result.refused += 1
            continue
        batch, payload = ledger.place(partition, offset), payload_digest(parsed)
        if horizon_us:
            watermark = ledger.watermark(partition, offset)
            cards.admitted(partition, stretches[batch], arrival_ms, parsed, watermark)
        if payload not in known:
            known[payload] = batch, result.add(parsed, judges[batch](parsed))
        elif batch < known[payload][0]:  # partitions are not read in the order of the batches
            before, place = known[payload]
            result.judge(place, judges[batch](parsed), judges[before](parsed))
            known[payload] = batch, place
    cards.finish()
    for marked in cards.marked().values():
        result.add_flag(known[payload_digest(marked.transaction)][1], marked.verdict)
    for raised in cards.raised().values():
        result.alerts[known[payload_digest(raised.transaction)][1]] = True
    return result


def _refuse_other_topic(settings: Settings, endpoints: Endpoints, ledger: Ledger) -> None:
    present = topics.identity(
        endpoints.bootstrap_servers,
        settings.kafka.topic,
        timeout_seconds=settings.timeouts.connect_seconds,
    )
    if {batch.topic_id for batch in ledger.batches} != {present.topic_id}:
        raise RefusedError(
            "what has landed was read from another topic than the present one",
            hint="set kafka.topic and the servers to the log that was read",
        )


def _actions(sets: Iterable[RuleSet]) -> dict[str, str]:
    actions: Mapping[str, str] = {
        rule.id: rule.action for rules in sets for rule in rules.rules if rule.enabled
    }
    return dict(actions)
