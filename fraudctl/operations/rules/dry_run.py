"""Try rules on recorded events: count what each would flag, with examples, without changing anything."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fraudctl.broker.log import read_ranges
from fraudctl.broker.topics import end_offsets
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.operations.inputs.event_files import FileReport, ReportBuilder, check_some_taken
from fraudctl.operations.inputs.read_events import read_events
from fraudctl.operations.rules.check import checked_rules
from fraudctl.recount.hindsight import in_hindsight
from fraudctl.recount.instants import instant_text
from fraudctl.recount.judgement import Verdict
from fraudctl.recount.parse import Rejected, Transaction, parser
from fraudctl.recount.recount import Record, admit
from fraudctl.rules.model import Rule

# A broker that is starting, or fetching from a slow disk, may be silent for a while.
_SILENCE_SECONDS = 30.0


@dataclass(frozen=True)
class TryRequest:
    """A request to try rules on recorded events.

    `events`: a file with one event per line, as `fraudctl simulate` writes; None reads the topic.
    """

    settings: Settings
    rules_document: dict[str, Any]
    endpoints: Endpoints | None
    events: Path | None
    examples: int


@dataclass(frozen=True)
class Example:
    """A transaction that a rule matches."""

    transaction_id: str
    event_time: str
    card_id: str
    category: str
    amount_minor: int
    country: str
    channel: str
    score: int


@dataclass
class RuleTally:
    """The matches of one rule; `alone` counts transactions that no other rule matches."""

    id: str
    version: int
    action: str
    weight: int
    enabled: bool
    matched: int = 0
    alone: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass(frozen=True)
class Trial:
    """The result of trying rules on events; `refused` and `duplicates` are not evaluated.

    `file` is the report on reading the file that the events come from.
    """

    digest: str
    source: str
    read: int
    refused: int
    duplicates: int
    judged: int
    flagged: int
    alerts: int
    rules: tuple[RuleTally, ...]
    warnings: tuple[str, ...]
    file: FileReport | None
    seconds: float


def try_rules(request: TryRequest) -> Trial:
    """Evaluate recorded events with rules that need not be active.

    A card's past is everything that the events tell of it, in the order of event time.

    Raises:
        ConfigError: the rules are not valid.
        UsageError: the file cannot be read.
        DataError: it is another kind of file, or no line of it is an event.
        RefusedError, UnreachableError: the log cannot be read.
    """
    began = time.monotonic()
    checked = checked_rules(request.settings, request.rules_document)
    rules = checked.rules
    tallies = {rule.id: _tally(rule) for rule in rules.rules}
    counts: Counter[str] = Counter()
    report: FileReport | None = None
    builder = ReportBuilder(request.events, "event") if request.events else None
    for transaction, verdict in in_hindsight(rules, _transactions(request, counts, builder)):
        counts["judged"] += 1
        if verdict.flagged:
            counts["flagged"] += 1
            counts["alert"] += verdict.alert
            _record(tallies, transaction, verdict, request.examples)
    if builder is not None:
        report = builder.report()
        check_some_taken(report)
        counts["read"], counts["refused"] = report.read, report.left_out
    return Trial(
        digest=rules.digest,
        source=str(request.events) if request.events else f"topic {request.settings.kafka.topic}",
        read=counts["read"],
        refused=counts["refused"],
        duplicates=counts["read"] - counts["refused"] - counts["judged"],
        judged=counts["judged"],
        flagged=counts["flagged"],
        alerts=counts["alert"],
        rules=tuple(tallies.values()),
        warnings=checked.warnings,
        file=report,
        seconds=round(time.monotonic() - began, 3),
    )


def _tally(rule: Rule) -> RuleTally:
    return RuleTally(rule.id, rule.version, rule.action, rule.weight, rule.enabled)


def _record(tallies: dict[str, RuleTally], transaction: Transaction, verdict: Verdict, examples: int) -> None:
    for name in verdict.rules:
        tally = tallies[name]
        tally.matched += 1
        tally.alone += len(verdict.rules) == 1
        if len(tally.examples) < examples:
            tally.examples.append(
                Example(
                    transaction.transaction_id,
                    instant_text(transaction.event_us),
                    transaction.card_id,
                    transaction.category,
                    transaction.amount_minor,
                    transaction.country,
                    transaction.channel,
                    verdict.score,
                )
            )


def _transactions(
    request: TryRequest, counts: Counter[str], builder: ReportBuilder | None
) -> Iterator[tuple[int, Transaction]]:
    """Yield the events that the detector would evaluate, with their partition.

    A file has no arrival times, so none of its events is late. It counts as one partition, for producers key
    by card.
    """
    if request.events is not None and builder is not None:
        yield from ((0, one) for one in read_events(request.events, request.settings.events, builder))
        return
    parse, lateness = parser(request.settings.events), request.settings.lateness
    for partition, _offset, arrival_ms, value in _log(request):
        result = admit(parse(value), arrival_ms, lateness)
        counts["read"] += 1
        if isinstance(result, Rejected):
            counts["refused"] += 1
        else:
            yield partition, result


def _log(request: TryRequest) -> Iterable[Record]:
    assert request.endpoints is not None, "without a file the log is read"
    servers, topic = request.endpoints.bootstrap_servers, request.settings.kafka.topic
    held = end_offsets(servers, topic, timeout_seconds=request.settings.timeouts.connect_seconds)
    return read_ranges(servers, topic, held, timeout_seconds=_SILENCE_SECONDS)
