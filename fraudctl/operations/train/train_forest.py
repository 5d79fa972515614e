"""Train a forest for a rule in the stream, and measure it on the days that follow.

It sees what the detector sees: a transaction's own fields and its card's past over some minutes, computed by
the recount's code. The figures are those of the forest as it is written, in integers.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fraudctl.errors import UsageError
from fraudctl.evaluation.features import History
from fraudctl.evaluation.forest import grow
from fraudctl.evaluation.metrics import Confusion, confusion
from fraudctl.evaluation.training import Score, Split, measure
from fraudctl.operations.inputs.read_recorded import RecordedReport, read_recorded
from fraudctl.operations.simulate.simulate import HIGHEST_SEED
from fraudctl.operations.train.train import Observe, TrainRequest, chosen_days, chosen_sets, write_model
from fraudctl.recount.forest import scorer, vectors
from fraudctl.recount.parse import Rejected, Transaction, parser
from fraudctl.recount.past import Past, pasts
from fraudctl.recount.recount import payload_digest
from fraudctl.rules.forest import CARD_MINUTES_MAX, CATEGORY_IS, CHANNEL_IS, FEATURES, PAST_FEATURES, Forest
from fraudctl.simulator.labels import Labels
from fraudctl.simulator.preset import parse_preset
from fraudctl.simulator.simulation import Simulation
from fraudctl.simulator.wire import Wire

# Values of `score_over` to choose from, in hundredths.
LIMITS = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 70, 90)
# A transaction, its past if features use it, and the time of its fraud report in ms since 1970, else 0.
_Row = tuple[Transaction, Past | None, int]


@dataclass(frozen=True)
class Limit:
    """The result that a rule with this `score_over` would have had on the test days."""

    score_over: int
    raised: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class TrainedForest:
    """A trained forest with its score.

    Days count from the first one of the data; `file` is None where nothing was to be written, `recorded`
    where a preset was simulated.
    """

    source: str
    seed: int
    transactions: int
    fraud: int
    days: Split
    features: tuple[str, ...]
    within_minutes: int
    train_rows: int
    train_fraud: int
    train_fraud_unknown: int
    test_rows: int
    test_fraud: int
    recorded: RecordedReport | None
    name: str
    score: Score
    limits: tuple[Limit, ...]
    file: Path | None
    seconds: float


def train_forest(request: TrainRequest, within_minutes: int, *, observe: Observe) -> TrainedForest:
    """Train and measure a forest; with `out`, write it for a rule's `model: {file: …}`.

    `within_minutes`: how far the features look back at a card, 0 for not at all.

    Raises:
        UsageError: the days do not fit into the data, or hold nothing to learn from.
        RefusedError: scikit-learn is not installed.
        ConfigError, DataError: preset, events or labels are not valid.
    """
    began = time.monotonic()
    if not 0 <= within_minutes <= CARD_MINUTES_MAX:
        raise UsageError(f"a forest looks back 0 to {CARD_MINUTES_MAX} minutes, not {within_minutes}")
    observe("reading the transactions")
    reported, transactions, source, recorded = _known(request)
    observe(f"what {len(transactions):,} transactions look like")
    rows = sorted(_with_pasts(transactions, reported, within_minutes), key=lambda row: row[0].event_us)
    history = _history(rows)
    days = chosen_days(request, history, handbook=False)
    sets = chosen_sets(history, days)
    channels = {rows[place][0].channel for place in np.flatnonzero(sets.train).tolist()}
    features = _features(request.settings.events.categories, channels, within_minutes)
    vector = vectors(features, within_minutes * 60)
    observe(f"learning from {int(sets.train.sum()):,} transactions")
    learned = [vector(*rows[place][:2]) for place in np.flatnonzero(sets.train).tolist()]
    forest = grow(
        np.array(learned, dtype=np.int64),
        sets.known_fraud[sets.train],
        features,
        within_minutes=within_minutes or None,
        seed=request.seed,
    )
    observe("measuring")
    score = scorer(forest)
    scores = np.array([score(*rows[place][:2]) for place in np.flatnonzero(sets.test).tolist()])
    fraud = history.fraud[sets.test]
    return TrainedForest(
        source=source,
        seed=request.seed,
        transactions=len(history),
        fraud=int(history.fraud.sum()),
        days=days,
        features=features,
        within_minutes=within_minutes,
        train_rows=int(sets.train.sum()),
        train_fraud=int((sets.train & sets.known_fraud).sum()),
        train_fraud_unknown=int((sets.train & history.fraud & ~sets.known_fraud).sum()),
        test_rows=int(sets.test.sum()),
        test_fraud=int(fraud.sum()),
        recorded=recorded,
        name=forest.name,
        score=measure("forest", scores.astype(np.float64), history, sets.test),
        limits=tuple(_limit(limit, confusion(scores > limit * 10_000, fraud)) for limit in LIMITS),
        file=_write(request.out, forest),
        seconds=round(time.monotonic() - began, 1),
    )


def _write(folder: Path | None, forest: Forest) -> Path | None:
    if folder is None:
        return None
    file = folder / f"{forest.name}.json"
    write_model(file, forest.model_dump_json(exclude_none=True).encode())
    return file


def _limit(limit: int, found: Confusion) -> Limit:
    return Limit(limit, found.raised, found.precision, found.recall)


def _features(categories: Iterable[str], channels: Iterable[str], within_minutes: int) -> tuple[str, ...]:
    named = [CATEGORY_IS + name for name in categories] + [CHANNEL_IS + name for name in sorted(channels)]
    return (*FEATURES, *named, *(PAST_FEATURES if within_minutes else ()))


def _known(
    request: TrainRequest,
) -> tuple[dict[Transaction, int], list[Transaction], str, RecordedReport | None]:
    """Return report times of frauds in ms, each transaction once, their source, and the report on files."""
    if request.files is not None:
        events, labels = request.files
        read = read_recorded(request.settings, events, labels, allowed_rejected=request.allowed_rejected)
        known = {
            one: label.reported_us // 1000
            for one, label in zip(read.transactions, read.labels, strict=True)
            if label is not None
        }
        return known, read.transactions, str(events), read.report
    if not 0 <= request.seed <= HIGHEST_SEED:
        raise UsageError(f"the seed must be from 0 to {HIGHEST_SEED}, not {request.seed}")
    preset = parse_preset(request.document, {})
    simulation = Simulation(preset, request.settings.producer, request.settings.events, request.seed)
    wire, delayed = Wire(simulation.names), Labels(simulation.names, preset.label_delay_hours, request.seed)
    reported: dict[str, int] = {}
    transactions: list[Transaction] = []
    for batch in simulation.days():
        transactions += _parsed(request, wire.values(batch))
        reported |= {label.transaction_id: moment for moment, label in delayed.of(batch)}
    fraud = {one: reported[one.transaction_id] for one in transactions if one.transaction_id in reported}
    return fraud, transactions, f"preset {request.preset}", None


def _parsed(request: TrainRequest, lines: Iterable[bytes]) -> Iterator[Transaction]:
    parse = parser(request.settings.events)
    seen: set[bytes] = set()
    for line in lines:
        event = parse(line)
        if isinstance(event, Rejected) or (payload := payload_digest(event)) in seen:
            continue
        seen.add(payload)
        yield event


def _with_pasts(
    transactions: list[Transaction], reported: dict[Transaction, int], within_minutes: int
) -> Iterator[_Row]:
    if not within_minutes:
        yield from ((one, None, reported.get(one, 0)) for one in transactions)
        return
    cards: dict[str, list[Transaction]] = {}
    for one in transactions:
        cards.setdefault(one.card_id, []).append(one)
    for own in cards.values():
        own.sort(key=lambda one: one.event_us)
        for one, past in zip(own, pasts(own, within_minutes * 60_000_000), strict=True):
            yield one, past, reported.get(one, 0)


def _history(rows: list[_Row]) -> History:
    cards: dict[str, int] = {}
    merchants: dict[str, int] = {}
    table = np.array(
        [
            (
                one.event_us // 1000,
                cards.setdefault(one.card_id, len(cards)),
                merchants.setdefault(one.merchant_id, len(merchants)),
                one.amount_minor,
                reported_ms,
            )
            for one, _past, reported_ms in rows
        ],
        dtype=np.int64,
    ).reshape(-1, 5)
    time_ms, card, merchant, amount, reported = table.T
    return History(time_ms, card, merchant, amount, reported > 0, reported)
