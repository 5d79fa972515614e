"""Train a model on simulated or recorded transactions, and measure it on the days that follow."""

import json
import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fraudctl import __version__
from fraudctl.config.model import Settings
from fraudctl.errors import UsageError
from fraudctl.evaluation.features import DAY_MS, NAMES, Floats, History, features
from fraudctl.evaluation.training import (
    KINDS,
    PUBLISHED,
    Model,
    Score,
    Sets,
    Split,
    measure,
    split,
    version_of,
)
from fraudctl.operations.inputs.event_files import ALLOWED_REJECTED
from fraudctl.operations.inputs.read_recorded import RecordedReport, read_recorded
from fraudctl.operations.simulate.simulate import HIGHEST_SEED
from fraudctl.runtime.files import make_folder, naming
from fraudctl.simulator.batch import joined
from fraudctl.simulator.labels import Labels
from fraudctl.simulator.preset import HandbookPreset, parse_preset
from fraudctl.simulator.simulation import Simulation

# The handbook's training begins on 2018-07-25, and its data on 2018-04-01.
_HANDBOOK_DAY = 115
FORMAT = 1


@dataclass(frozen=True)
class TrainRequest:
    """A request to train models.

    `files`: events and labels; None: the preset, simulated with `seed`, which is also the seed of the model.
    `first_day`: the first day to learn from; None: the handbook's, or else as late as the data allows.
    `allowed_rejected`: the share of the lines of a file that may be left out, 0 to 1.
    """

    settings: Settings
    preset: str
    document: Mapping[str, object]
    files: tuple[Path, Path] | None
    seed: int
    kinds: tuple[str, ...]
    first_day: int | None
    train_days: int
    delay_days: int
    test_days: int
    out: Path | None
    allowed_rejected: float = ALLOWED_REJECTED


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with its score.

    `published`: AUC-ROC, average precision and card precision@100 of the handbook; None where they are not
    comparable.
    """

    kind: str
    name: str
    score: Score
    published: tuple[float, float, float] | None
    version: str
    file: Path | None
    seconds: float


@dataclass(frozen=True)
class Training:
    """The result of training models.

    Days count from the first one of the data; `recorded` is None where a preset was simulated.
    """

    source: str
    seed: int
    transactions: int
    fraud: int
    days: Split
    features: tuple[str, ...]
    train_rows: int
    train_fraud: int
    train_fraud_unknown: int  # frauds among them not yet reported at that time
    test_rows: int
    test_fraud: int
    recorded: RecordedReport | None
    models: tuple[TrainedModel, ...]
    seconds: float


Observe = Callable[[str], None]


def train(request: TrainRequest, *, observe: Observe) -> Training:
    """Train and measure models; with `out`, write each model with a description in JSON beside it.

    Raises:
        UsageError: the days do not fit into the data, or hold nothing to learn from.
        RefusedError: scikit-learn is not installed.
        ConfigError, DataError: preset, events or labels are not valid.
    """
    began = time.monotonic()
    for kind in request.kinds:
        Model(kind, request.seed)  # fails before the work, not after it
    observe("making the transactions")
    history, source, compares, recorded = _history(request)
    days = chosen_days(request, history, compares)
    observe(f"features of {len(history):,} transactions")
    rows = features(history)
    sets = chosen_sets(history, days)
    models = []
    for kind in request.kinds:
        observe(f"{KINDS[kind]}: learning from {int(sets.train.sum()):,} transactions")
        models.append(_model(request, kind, history, rows, sets, compares))
    return Training(
        source=source,
        seed=request.seed,
        transactions=len(history),
        fraud=int(history.fraud.sum()),
        days=days,
        features=NAMES,
        train_rows=int(sets.train.sum()),
        train_fraud=int((sets.train & sets.known_fraud).sum()),
        train_fraud_unknown=int((sets.train & history.fraud & ~sets.known_fraud).sum()),
        test_rows=int(sets.test.sum()),
        test_fraud=int((sets.test & history.fraud).sum()),
        recorded=recorded,
        models=tuple(models),
        seconds=round(time.monotonic() - began, 1),
    )


def _model(
    request: TrainRequest,
    kind: str,
    history: History,
    rows: Floats,
    sets: Sets,
    compares: bool,
) -> TrainedModel:
    began = time.monotonic()
    model = Model(kind, request.seed)
    model.learn(rows[sets.train], sets.known_fraud[sets.train])
    score = measure(kind, model.scores(rows[sets.test]), history, sets.test)
    content = model.dump()
    version = version_of(content)
    file = None
    if request.out is not None:
        file = request.out / f"{kind}-{version[:12]}.joblib"
        write_model(file, content)
        description = {
            "format": FORMAT,
            "fraudctl": __version__,
            "kind": kind,
            "version": version,
            "features": NAMES,
            "seed": request.seed,
            "score": asdict(score),
        }
        write_model(file.with_suffix(".json"), json.dumps(description, indent=2).encode())
    published = PUBLISHED[kind] if compares else None
    seconds = round(time.monotonic() - began, 1)
    return TrainedModel(kind, KINDS[kind], score, published, version, file, seconds)


def write_model(file: Path, content: bytes) -> None:
    """Write a file completely or not at all; its folder is created if it does not exist."""
    make_folder(file.parent, option="--out")
    temporary = file.with_name(f"{file.name}.part")
    with naming(file):
        temporary.write_bytes(content)
        temporary.replace(file)


def _history(request: TrainRequest) -> tuple[History, str, bool, RecordedReport | None]:
    """Return the transactions, their source, whether published figures compare, and the report on files."""
    if request.files is not None:
        history, report = _recorded(request, *request.files)
        return history, str(request.files[0]), False, report
    if not 0 <= request.seed <= HIGHEST_SEED:
        raise UsageError(f"the seed must be from 0 to {HIGHEST_SEED}, not {request.seed}")
    preset = parse_preset(request.document, {})
    simulation = Simulation(preset, request.settings.producer, request.settings.events, request.seed)
    everything = joined(list(simulation.days()))
    reported = np.zeros(len(everything), dtype=np.int64)
    labels = Labels(simulation.names, preset.label_delay_hours, request.seed)
    reported[np.flatnonzero(everything.fraud)] = [moment for moment, _label in labels.of(everything)]
    history = History(
        everything.time_ms,
        everything.card,
        everything.merchant,
        everything.amount_minor,
        everything.fraud,
        reported,
    )
    return history, f"preset {request.preset}", isinstance(preset, HandbookPreset), None


def _recorded(request: TrainRequest, events: Path, labels: Path) -> tuple[History, RecordedReport]:
    read = read_recorded(request.settings, events, labels, allowed_rejected=request.allowed_rejected)
    cards: dict[str, int] = {}
    merchants: dict[str, int] = {}
    columns = [array("q") for _ in range(5)]
    for event, label in zip(read.transactions, read.labels, strict=True):
        for column, value in zip(
            columns,
            (
                event.event_us // 1000,
                cards.setdefault(event.card_id, len(cards)),
                merchants.setdefault(event.merchant_id, len(merchants)),
                event.amount_minor,
                0 if label is None else label.reported_us // 1000,
            ),
            strict=True,
        ):
            column.append(value)
    time_ms, card, merchant, amount, reported = (np.array(column, dtype=np.int64) for column in columns)
    order = np.argsort(time_ms, kind="stable")
    history = History(
        time_ms[order], card[order], merchant[order], amount[order], (reported > 0)[order], reported[order]
    )
    return history, read.report


def chosen_sets(history: History, days: Split) -> Sets:
    """Return the training and test sets of these days.

    Raises:
        UsageError: one of them is empty.
    """
    sets = split(history, days)
    if not sets.test.any() or not sets.train.any():
        raise UsageError(
            "there are no transactions on the days to learn from, or on those to be measured on",
            hint="choose --first-day, --train-days, --delay-days and --test-days within the data",
        )
    return sets


def chosen_days(request: TrainRequest, history: History, handbook: bool) -> Split:
    """Return the days to train and to measure on.

    Raises:
        UsageError: they do not fit into the data.
    """
    if not len(history):
        raise UsageError(
            "there are no transactions to learn from", hint="give a preset, or files with events"
        )
    last = int(history.time_ms[-1] // DAY_MS - history.time_ms[0] // DAY_MS)
    needed = request.train_days + request.delay_days + request.test_days
    first = request.first_day
    if first is None:
        first = _HANDBOOK_DAY if handbook else max(0, last + 1 - needed)
    if first + needed > last + 1:
        raise UsageError(
            f"the data has {last + 1} days, and day {first} with {needed} more does not fit",
            hint="choose fewer --train-days, --delay-days or --test-days, or an earlier --first-day",
        )
    return Split(first, request.train_days, request.delay_days, request.test_days)
