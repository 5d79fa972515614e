"""Measure the quality of the detection against labels, using only what was known at a given time."""

import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.database import evaluations
from fraudctl.errors import RefusedError
from fraudctl.evaluation import metrics
from fraudctl.evaluation.metrics import CardPrecision, Confusion
from fraudctl.operations.evaluate.judged_events import JudgedEvents, from_file, from_log
from fraudctl.operations.inputs.event_files import FileReport
from fraudctl.operations.inputs.join_labels import JoinReport, join_labels
from fraudctl.operations.inputs.labels import Label, Labels, labels_from_file, labels_from_topic
from fraudctl.recount.instants import DAY_US, instant_text
from fraudctl.rules.model import RuleSet

Bools = NDArray[np.bool_]
CARDS_A_DAY = 100


@dataclass(frozen=True)
class EvaluateRequest:
    """A request to evaluate the detection.

    `files`: events and labels, evaluated with `rules`; None: the log, the ledger and the topic of labels.
    `as_of`: labels reported later count as unknown; None: all labels are known. `label_delay_seconds`: how
    long after a transaction its label may come; None: as long as the slowest known label took.
    """

    settings: Settings
    endpoints: Endpoints | None
    files: tuple[Path, Path] | None
    rules: RuleSet | None
    as_of: datetime | None
    label_delay_seconds: float | None


@dataclass(frozen=True)
class Figures:
    """A confusion matrix and its ratios; `rate` is the share of the evaluated transactions with an alert.

    For flags or one rule, read "flagged" or "matched by the rule" instead of "with an alert".
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    precision: float | None
    recall: float | None
    f1: float | None
    rate: float | None


@dataclass(frozen=True)
class ScenarioFigures:
    """Figures on the frauds of one scenario: their number, and how many of them alerted and were flagged."""

    scenario: str
    fraud: int
    alerted: int
    flagged: int
    recall: float | None


@dataclass(frozen=True)
class RuleFigures:
    """Figures on the transactions that one rule matches."""

    id: str
    action: str
    figures: Figures


@dataclass(frozen=True)
class Yardstick:
    """The baseline rule "amount > x" with as many alerts as the detection, or else as there are frauds."""

    amount_over: int
    budget: int
    figures: Figures
    auc_roc: float | None
    average_precision: float | None
    card_precision: CardPrecision


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    `pending`: transactions so young that their label may still come; they are left out of everything else.
    `refused`: lines or records that are no events, or were not admitted. `labels_unmatched`: known labels of
    transactions that were not evaluated, as they were rejected or not read. `files`: reports on reading the
    files of events and labels. `contradictions`: ids whose labels in the file differ.
    """

    source: str
    as_of: str | None
    label_delay_seconds: float
    first: str
    last: str
    judged: int
    refused: int
    pending: int
    evaluated: int
    fraud: int
    labels: int
    labels_known: int
    labels_unmatched: int
    alerts: Figures
    flagged: Figures
    auc_roc: float | None
    average_precision: float | None
    card_precision: CardPrecision
    scenarios: tuple[ScenarioFigures, ...]
    rules: tuple[RuleFigures, ...]
    yardstick: Yardstick
    join: JoinReport
    files: tuple[FileReport, ...]
    contradictions: tuple[str, ...]
    seconds: float


def evaluate(request: EvaluateRequest) -> Evaluation:
    """Compare verdicts with labels.

    Raises:
        RefusedError: no batch is committed or no event is old enough for its label, there are no labels, or
            the log no longer holds what was read.
        UsageError, DataError: a file cannot be read, or holds no labels.
        UnreachableError, ConfigError: broker or database does not answer.
    """
    began = time.monotonic()
    if request.files is not None:
        assert request.rules is not None, "a file is judged by rules that are given"
        events = from_file(request.files[0], request.settings, request.rules)
        read, source = labels_from_file(request.files[1]), str(request.files[0])
        labels, contradictions = read.labels, read.contradictions
        files = tuple(one for one in (events.report, read.report) if one is not None)
    else:
        assert request.endpoints is not None, "without files there are services"
        events = from_log(request.settings, request.endpoints)
        labels = labels_from_topic(request.settings, request.endpoints)
        source, contradictions, files = f"topic {request.settings.kafka.topic}", (), ()
    as_of_us = None if request.as_of is None else round(request.as_of.timestamp() * 1_000_000)
    known = {key: label for key, label in labels.items() if as_of_us is None or label.reported_us <= as_of_us}
    delay_us = _delay_us(request.label_delay_seconds, known)
    found = evaluation(
        events, labels, known, as_of_us=as_of_us, delay_us=delay_us, source=source, began=began
    )
    found = replace(found, files=files, contradictions=contradictions)
    if not found.evaluated:
        raise RefusedError(
            "there is nothing to evaluate",
            detail=f"{found.judged:,} transactions of {source} were judged, {found.refused:,} lines or"
            f" records are no admissible events, and the label of {found.pending:,} may still come",
            hint="look from a later moment with --as-of, name a shorter --label-delay, or take --all-labels",
        )
    return found


def evaluation(
    events: JudgedEvents,
    labels: Labels,
    known: Labels,
    *,
    as_of_us: int | None,
    delay_us: int,
    source: str,
    began: float,
) -> Evaluation:
    """Compute the figures from evaluated events and labels."""
    times, amounts, cards = events.column("times"), events.column("amounts"), events.column("cards")
    ripe = np.ones(len(events), dtype=np.bool_) if as_of_us is None else times <= as_of_us - delay_us
    found, join = join_labels(known.values(), events.subjects())
    fraud = np.array([label is not None for label in found], dtype=np.bool_)[ripe]
    scores = events.column("scores")[ripe].astype(np.float64)
    alerted = np.frombuffer(bytes(events.alerts), dtype=np.uint8)[ripe] > 0
    flagged = events.where(place for places in events.matched.values() for place in places)[ripe]
    days = times[ripe] // DAY_US
    return Evaluation(
        source=source,
        as_of=None if as_of_us is None else instant_text(as_of_us),
        label_delay_seconds=delay_us / 1_000_000,
        first=instant_text(int(times.min())) if len(events) else "",
        last=instant_text(int(times.max())) if len(events) else "",
        judged=len(events),
        refused=events.refused,
        pending=int(np.count_nonzero(~ripe)),
        evaluated=len(fraud),
        fraud=int(np.count_nonzero(fraud)),
        labels=len(labels),
        labels_known=len(known),
        labels_unmatched=join.unmatched,
        alerts=_figures(metrics.confusion(alerted, fraud)),
        flagged=_figures(metrics.confusion(flagged, fraud)),
        auc_roc=metrics.auc_roc(scores, fraud),
        average_precision=metrics.average_precision(scores, fraud),
        card_precision=metrics.card_precision(scores, fraud, cards[ripe], days, CARDS_A_DAY),
        scenarios=_scenarios(
            [label for label, take in zip(found, ripe, strict=True) if take], alerted, flagged
        ),
        rules=tuple(
            RuleFigures(
                name,
                action,
                _figures(metrics.confusion(events.where(events.matched.get(name, ()))[ripe], fraud)),
            )
            for name, action in events.rules.items()
        ),
        yardstick=_yardstick(amounts[ripe], fraud, alerted, cards[ripe], days),
        join=join,
        files=(),
        contradictions=(),
        seconds=round(time.monotonic() - began, 3),
    )


def store_evaluation(settings: Settings, endpoints: Endpoints, found: Evaluation) -> None:
    """Store an evaluation in the database, where dashboards read it.

    Raises:
        RefusedError: the database was not migrated, or the user may not do this.
        UnreachableError, ConfigError: the database does not answer.
    """
    alerts = found.alerts
    row = {
        "as_of": found.as_of,
        "source": found.source,
        "evaluated": found.evaluated,
        "pending": found.pending,
        "true_positives": alerts.true_positives,
        "false_positives": alerts.false_positives,
        "false_negatives": alerts.false_negatives,
        "true_negatives": alerts.true_negatives,
        "auc_roc": found.auc_roc,
        "average_precision": found.average_precision,
    }
    seconds = settings.timeouts.connect_seconds
    evaluations.store(endpoints.postgres, row, asdict(found), connect_seconds=seconds)


def _delay_us(given: float | None, known: Labels) -> int:
    if given is not None:
        return round(given * 1_000_000)
    return max((label.reported_us - label.event_us for label in known.values()), default=0)


def _scenarios(labels: list[Label | None], alerted: Bools, flagged: Bools) -> tuple[ScenarioFigures, ...]:
    names = sorted({label.scenario for label in labels if label is not None})
    result = []
    for name in names:
        own = np.array([label is not None and label.scenario == name for label in labels], dtype=np.bool_)
        count = int(np.count_nonzero(own))
        caught = int(np.count_nonzero(own & alerted))
        marked = int(np.count_nonzero(own & flagged))
        result.append(ScenarioFigures(name, count, caught, marked, caught / count if count else None))
    return tuple(result)


def _yardstick(
    amounts: NDArray[np.int64],
    fraud: Bools,
    alerted: Bools,
    cards: NDArray[np.int64],
    days: NDArray[np.int64],
) -> Yardstick:
    budget = int(np.count_nonzero(alerted)) or int(np.count_nonzero(fraud))
    rule = metrics.amount_rule(amounts, fraud, budget)
    by_card = metrics.card_precision(amounts.astype(np.float64), fraud, cards, days, CARDS_A_DAY)
    return Yardstick(rule.x, budget, _figures(rule.confusion), rule.auc_roc, rule.average_precision, by_card)


def _figures(matrix: Confusion) -> Figures:
    return Figures(
        matrix.true_positives,
        matrix.false_positives,
        matrix.false_negatives,
        matrix.true_negatives,
        matrix.precision,
        matrix.recall,
        matrix.f1,
        matrix.rate,
    )
