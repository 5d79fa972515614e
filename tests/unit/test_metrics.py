"""Figures of an evaluation against numbers worked out by hand, and against every pair counted."""

import random

import numpy as np
import pytest

from fraudctl.evaluation.metrics import (
    CardPrecision,
    Confusion,
    amount_rule,
    auc_roc,
    average_precision,
    card_precision,
    confusion,
)

# Ten transactions, four of them fraud, with ties in the score:
#   score   90  90  70  50  50  50  30  10  10   0
#   fraud    1   0   1   1   0   0   0   1   0   0
SCORES = np.array([90, 90, 70, 50, 50, 50, 30, 10, 10, 0], dtype=np.float64)
FRAUD = np.array([1, 0, 1, 1, 0, 0, 0, 1, 0, 0], dtype=np.bool_)


def test_the_matrix_and_its_shares() -> None:
    # Raised from 50 on: 3 of the 4 frauds, and 3 genuine ones.
    found = confusion(SCORES >= 50, FRAUD)
    assert found == Confusion(3, 3, 1, 3)
    assert (found.precision, found.recall, found.rate) == (3 / 6, 3 / 4, 6 / 10)
    assert found.f1 == pytest.approx(2 * 0.5 * 0.75 / (0.5 + 0.75))
    assert found.f1 == 6 / 10


def test_nothing_is_no_share_of_nothing() -> None:
    none = np.zeros(3, dtype=np.bool_)
    found = confusion(none, none)
    assert (found.precision, found.recall, found.f1, found.rate) == (None, None, None, 0.0)
    assert auc_roc(np.zeros(3), none) is None
    assert average_precision(np.zeros(3), none) is None
    assert confusion(none[:0], none[:0]).rate is None


def test_auc_counts_pairs_and_ties_half() -> None:
    # Of 6 genuine ones the frauds beat: 90 → 5 and a tie, 70 → 5, 50 → 3 and two ties, 10 → 1 and a tie.
    assert auc_roc(SCORES, FRAUD) == (5.5 + 5 + 4 + 1.5) / 24


def test_average_precision_steps_at_each_distinct_score() -> None:
    # Frauds found at 90, 70, 50 and 10, with precisions 1/2, 2/3, 3/6 and 4/9.
    assert average_precision(SCORES, FRAUD) == pytest.approx((1 / 2 + 2 / 3 + 3 / 6 + 4 / 9) / 4, abs=1e-15)


def test_any_ranking_agrees_with_all_pairs_counted() -> None:
    draw = random.Random(11)
    for _ in range(50):
        scores = [draw.randint(0, 5) for _ in range(30)]
        fraud = [draw.random() < 0.3 for _ in range(30)]
        pairs = [
            1.0 if ours > theirs else 0.5 if ours == theirs else 0.0
            for ours, bad in zip(scores, fraud, strict=True)
            for theirs, other in zip(scores, fraud, strict=True)
            if bad and not other
        ]
        found = auc_roc(np.array(scores, dtype=np.float64), np.array(fraud, dtype=np.bool_))
        assert found == (pytest.approx(sum(pairs) / len(pairs), abs=1e-12) if pairs else None)


def test_a_card_is_investigated_once_and_the_denominator_is_k() -> None:
    # Day 0: card 1 (best 90, fraud), card 2 (80), card 3 (70, fraud). Top two: 1 and 2, one of them right.
    # Day 1: card 1 is known and left out; card 3 (60, fraud) and card 2 (50). Top two: one right.
    # Day 2: only card 2 (10): none right.
    days = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    cards = np.array([1, 1, 2, 3, 1, 3, 2, 2])
    scores = np.array([10, 90, 80, 70, 99, 60, 50, 10], dtype=np.float64)
    fraud = np.array([1, 0, 0, 1, 1, 1, 0, 0], dtype=np.bool_)
    found = card_precision(scores, fraud, cards, days, 2)
    # At best: both on day 0, none on the days after.
    assert found == CardPrecision(2, 3, (1 / 2 + 1 / 2 + 0) / 3, (2 / 2 + 0 + 0) / 3)


def test_without_a_day_there_is_no_card_precision() -> None:
    empty = np.zeros(0, dtype=np.int64)
    found = card_precision(empty.astype(float), empty > 0, empty, empty, 100)
    assert found == CardPrecision(100, 0, None, None)


def test_the_yardstick_keeps_to_its_budget() -> None:
    amounts = np.array([500, 400, 400, 300, 100])
    fraud = np.array([1, 0, 1, 0, 0], dtype=np.bool_)
    assert (amount_rule(amounts, fraud, 3).x, amount_rule(amounts, fraud, 3).confusion) == (
        300,
        Confusion(2, 1, 0, 2),
    )
    # Two are allowed, and the second is as dear as the third: only one is raised.
    assert (amount_rule(amounts, fraud, 2).x, amount_rule(amounts, fraud, 2).confusion.raised) == (400, 1)
    assert amount_rule(amounts, fraud, 9).confusion.raised == 5
    assert amount_rule(amounts, fraud, 0).confusion.raised == 0


def test_scikit_learn_agrees() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(5)
    for distinct in (2, 10, 1000):
        scores = rng.integers(0, distinct, 2000).astype(np.float64)
        fraud = rng.random(2000) < 0.1
        assert auc_roc(scores, fraud) == pytest.approx(sklearn.roc_auc_score(fraud, scores), abs=1e-12)
        expected = sklearn.average_precision_score(fraud, scores)
        assert average_precision(scores, fraud) == pytest.approx(expected, abs=1e-12)
