"""Training on what was known at one time, and measurement on what came afterwards.

Source of the split: Fraud Detection Handbook, chapter 3, "get_train_test_set": some days to learn from, a
delay in which their labels become known, and some days to be measured on, without the cards whose fraud was
known by then. This is the only module that imports scikit-learn.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudctl.errors import RefusedError, UsageError
from fraudctl.evaluation.features import DAY_MS, History
from fraudctl.evaluation.metrics import CardPrecision, auc_roc, average_precision, card_precision

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
KINDS = {"lr": "logistic regression", "rf": "random forest"}
# Chapter 3 of the handbook, "Baseline fraud detection system": AUC-ROC, average precision, precision@100.
PUBLISHED = {"lr": (0.871, 0.606, 0.291), "rf": (0.867, 0.658, 0.287)}
CARDS_A_DAY = 100


@dataclass(frozen=True)
class Split:
    """Whole days to learn, wait and measure, from the first midnight at or before the first transaction."""

    first_day: int
    train_days: int
    delay_days: int
    test_days: int

    @property
    def test_day(self) -> int:
        """Return the first day to be measured on; the model is made at its midnight."""
        return self.first_day + self.train_days + self.delay_days


@dataclass(frozen=True)
class Sets:
    """Masks of the rows to learn from, of the fraud known at that time, and of the rows to be measured on."""

    train: Bools
    known_fraud: Bools
    test: Bools


@dataclass(frozen=True)
class Score:
    """The handbook's three figures of one kind of model."""

    kind: str
    auc_roc: float | None
    average_precision: float | None
    card_precision: CardPrecision


def split(history: History, days: Split) -> Sets:
    """Divide the history by time; `known_fraud` is what was reported before the test begins."""
    origin = int(history.time_ms[0] // DAY_MS * DAY_MS) if len(history) else 0
    day = (history.time_ms - origin) // DAY_MS
    train = (day >= days.first_day) & (day < days.first_day + days.train_days)
    made_ms = origin + days.test_day * DAY_MS
    known_fraud = history.fraud & (history.reported_ms <= made_ms)
    test = np.zeros(len(history), dtype=np.bool_)
    for number in range(days.test_days):
        today = day == days.test_day + number
        # On each test day, reported frauds at least one delay before it are known, and their cards blocked.
        blocked_until = days.first_day + days.train_days + number
        reported = history.reported_ms <= made_ms + number * DAY_MS
        blocked = history.fraud & reported & (day >= days.first_day) & (day < blocked_until)
        test |= today & ~np.isin(history.card, np.unique(history.card[blocked]))
    return Sets(train, known_fraud, test)


class Model:
    """A classifier over scaled features."""

    def __init__(self, kind: str, seed: int) -> None:
        """Create a classifier that has not learned yet.

        Args:
            kind: "lr" for logistic regression, "rf" for a random forest.
            seed: seed of its training.

        Raises:
            RefusedError: scikit-learn is not installed.
        """
        known = classifiers()
        classifier = (
            known.logistic(random_state=seed, max_iter=1000)
            if kind == "lr"
            else known.forest(random_state=seed, n_jobs=-1)
        )
        self.kind = kind
        self._steps: Any = known.pipeline(known.scaler(), classifier)

    def learn(self, rows: Floats, fraud: Bools) -> None:
        """Learn from rows of features, with one flag per row in `fraud`.

        Raises:
            UsageError: there is no fraud to learn from, or nothing else.
        """
        if len(np.unique(fraud)) < 2:
            raise UsageError(
                "there is nothing to learn: the training days hold only one kind of transaction",
                hint="choose other days, or a preset with more fraud",
            )
        self._steps.fit(rows, fraud)

    def scores(self, rows: Floats) -> Floats:
        """Return the probability of fraud for each row, 0 to 1."""
        result: Floats = self._steps.predict_proba(rows)[:, 1]
        return result

    def dump(self) -> bytes:
        """Return the model as the bytes of a file: a pickle, to be read only where its origin is trusted."""
        import joblib

        buffer = io.BytesIO()
        joblib.dump(self._steps, buffer)
        return buffer.getvalue()


def measure(kind: str, scores: Floats, history: History, test: Bools) -> Score:
    """Return the handbook's three figures on the test rows."""
    fraud = history.fraud[test]
    days = history.time_ms[test] // DAY_MS
    return Score(
        kind,
        auc_roc(scores, fraud),
        average_precision(scores, fraud),
        card_precision(scores, fraud, history.card[test], days, CARDS_A_DAY),
    )


def version_of(content: bytes) -> str:
    """Return the version of a model file: the SHA-256 of its content, as hex."""
    return hashlib.sha256(content).hexdigest()


class Classifiers(NamedTuple):
    """The parts of scikit-learn that are used here; it has no types."""

    pipeline: Any
    scaler: Any
    logistic: Any
    forest: Any


def classifiers() -> Classifiers:
    """Return the parts of scikit-learn that training uses.

    Raises:
        RefusedError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise RefusedError(
            "training needs scikit-learn, which is not installed",
            detail=str(error),
            hint="install the extra: python -m pip install 'fraudctl[learn]'",
        ) from error
    return Classifiers(make_pipeline, StandardScaler, LogisticRegression, RandomForestClassifier)
