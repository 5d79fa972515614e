"""Metrics of detection, by exact formulas that do not depend on the order of equal scores.

Sources: ROC and its area with ties counted half, Fawcett, "An introduction to ROC analysis" (2006); average
precision as the sum of precision times gained recall over the distinct scores, as in scikit-learn; card
precision, Fraud Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi, 2022), chapter 4.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Confusion:
    """Numbers of transactions by detection and label; a share of nothing is None."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def total(self) -> int:
        """Return the number of all transactions."""
        return self.true_positives + self.false_positives + self.false_negatives + self.true_negatives

    @property
    def raised(self) -> int:
        """Return the number of transactions that were detected, rightly or wrongly."""
        return self.true_positives + self.false_positives

    @property
    def fraud(self) -> int:
        """Return the number of frauds."""
        return self.true_positives + self.false_negatives

    @property
    def precision(self) -> float | None:
        """Return the share of fraud among the detected transactions."""
        return _share(self.true_positives, self.raised)

    @property
    def recall(self) -> float | None:
        """Return the share of the fraud that was detected."""
        return _share(self.true_positives, self.fraud)

    @property
    def f1(self) -> float | None:
        """Return the harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN)."""
        return _share(2 * self.true_positives, self.raised + self.fraud)

    @property
    def rate(self) -> float | None:
        """Return the share of all transactions that was detected."""
        return _share(self.raised, self.total)


def confusion(raised: Bools, fraud: Bools) -> Confusion:
    """Count the transactions by detection (`raised`) and label (`fraud`)."""
    both = int(np.count_nonzero(raised & fraud))
    said, were = int(np.count_nonzero(raised)), int(np.count_nonzero(fraud))
    return Confusion(both, said - both, were - both, len(fraud) - said - were + both)


def auc_roc(scores: Floats, fraud: Bools) -> float | None:
    """Return the probability that a fraud scores higher than a genuine transaction; ties count half."""
    frauds, genuine = _by_score(scores, fraud)
    if not frauds.sum() or not genuine.sum():
        return None
    # From the highest score down: a fraud wins over all genuine transactions with lower scores.
    behind = genuine.sum() - np.cumsum(genuine)
    wins = 2 * np.sum(frauds * behind) + np.sum(frauds * genuine)
    return float(wins / (2 * frauds.sum() * genuine.sum()))


def average_precision(scores: Floats, fraud: Bools) -> float | None:
    """Return the sum, over the distinct scores, of precision times the recall gained there."""
    frauds, genuine = _by_score(scores, fraud)
    if not frauds.sum():
        return None
    found = np.cumsum(frauds)
    precision = found / (found + np.cumsum(genuine))
    return float(np.sum(precision * frauds) / frauds.sum())


@dataclass(frozen=True)
class CardPrecision:
    """The mean over days of fraudulent cards among the `k` cards with the highest score, divided by `k`.

    `days` is the number of days; `best_possible` is the same figure for a ranking that knows all the fraud.
    """

    k: int
    days: int
    precision: float | None
    best_possible: float | None


def card_precision(scores: Floats, fraud: Bools, cards: Ints, days: Ints, k: int) -> CardPrecision:
    """Return the card precision of cards ranked by their best score of each day.

    A card is not investigated any more once its fraud was found. Of cards with equal scores the lower number
    goes first. Days without a transaction do not count.
    """
    return CardPrecision(
        k,
        len(np.unique(days)),
        _daily_mean(scores, fraud, cards, days, k),
        _daily_mean(fraud.astype(np.float64), fraud, cards, days, k),
    )


def _daily_mean(scores: Floats, fraud: Bools, cards: Ints, days: Ints, k: int) -> float | None:
    order = np.argsort(days, kind="stable")
    ends = np.flatnonzero(np.diff(days[order])) + 1
    found: set[int] = set()
    precisions: list[float] = []
    for day in np.split(order, ends) if len(order) else []:
        own, place = np.unique(cards[day], return_inverse=True)
        best = np.full(len(own), -np.inf)
        np.maximum.at(best, place, scores[day])
        bad = np.zeros(len(own), dtype=np.bool_)
        np.logical_or.at(bad, place, fraud[day])
        unknown = np.array([card not in found for card in own.tolist()], dtype=np.bool_)
        own, best, bad = own[unknown], best[unknown], bad[unknown]
        top = np.lexsort((own, -best))[:k]
        detected = own[top][bad[top]].tolist()
        found.update(detected)
        precisions.append(len(detected) / k)
    return float(np.mean(precisions)) if precisions else None


@dataclass(frozen=True)
class AmountRule:
    """The baseline rule "amount > x" within its budget of detections; `x` is in minor units."""

    x: int
    confusion: Confusion
    auc_roc: float | None
    average_precision: float | None


def amount_rule(amounts: Ints, fraud: Bools, budget: int) -> AmountRule:
    """Return the baseline rule that detects at most `budget` transactions, equal amounts alike."""
    highest_first = np.sort(amounts)[::-1]
    # Detected amounts lie above x, so x is the first amount beyond the budget.
    x = int(highest_first[budget]) if budget < len(amounts) else 0
    scores = amounts.astype(np.float64)
    return AmountRule(
        x, confusion(amounts > x, fraud), auc_roc(scores, fraud), average_precision(scores, fraud)
    )


def _by_score(scores: Floats, fraud: Bools) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return how many frauds and genuine transactions have each distinct score, the highest first."""
    distinct, place = np.unique(-scores, return_inverse=True)
    frauds = np.bincount(place[fraud], minlength=len(distinct))
    return frauds, np.bincount(place, minlength=len(distinct)) - frauds


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
