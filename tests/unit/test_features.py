"""Features by hand, against a slow count of every pair, and never out of the future."""

from dataclasses import replace

import numpy as np
import pytest

from fraudctl.evaluation.features import DAY_MS, NAMES, History, features
from fraudctl.evaluation.training import Model, Split, measure, split

HOUR_MS = 3_600_000
MONDAY_MS = 20_507 * DAY_MS  # 2026-02-23


def history(rows: list[tuple[float, int, int, int, bool]]) -> History:
    """(day and its fraction, card, merchant, amount, fraud); a fraud is reported after 7 days."""
    time_ms = np.array([MONDAY_MS + round(row[0] * DAY_MS) for row in rows], dtype=np.int64)
    fraud = np.array([row[4] for row in rows], dtype=np.bool_)
    return History(
        time_ms,
        *(np.array([row[place] for row in rows], dtype=np.int64) for place in (1, 2, 3)),
        fraud,
        np.where(fraud, time_ms + 7 * DAY_MS, 0),
    )


def drawn(seed: int, count: int = 3000, days: int = 40) -> History:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, days * DAY_MS, count)) + MONDAY_MS
    fraud = rng.random(count) < 0.1
    amounts = rng.integers(100, 30_000, count) + 20_000 * fraud
    reported = np.where(fraud, times + 7 * DAY_MS, 0)
    return History(times, rng.integers(0, 40, count), rng.integers(0, 25, count), amounts, fraud, reported)


def named(rows: np.ndarray, place: int) -> dict[str, float]:
    return dict(zip(NAMES, rows[place].tolist(), strict=True))


def test_a_small_history_by_hand() -> None:
    rows = features(
        history(
            [
                (0.0, 1, 9, 1000, True),  # Monday, midnight
                (0.5, 1, 9, 3000, False),
                (6.9, 2, 9, 500, True),
                (7.5, 1, 9, 2000, False),
                (14.0, 1, 9, 4000, False),
                (20.0, 1, 8, 100, False),  # Sunday
            ]
        )
    )
    first = named(rows, 0)
    assert (first["amount"], first["night"], first["weekend"]) == (10.0, 1.0, 0.0)
    assert (first["card_count_1d"], first["card_mean_amount_1d"]) == (1, 10.0)
    assert (first["merchant_count_30d"], first["merchant_risk_30d"]) == (0, 0.0)
    second = named(rows, 1)
    assert (second["night"], second["card_count_1d"], second["card_mean_amount_1d"]) == (0.0, 2, 20.0)
    # Day 7.5: of the card three in 30 days, one in 7; a week ago the merchant had two in a day, one a fraud.
    fourth = named(rows, 3)
    assert (fourth["card_count_7d"], fourth["card_count_30d"], fourth["card_mean_amount_30d"]) == (1, 3, 20.0)
    assert (fourth["merchant_count_1d"], fourth["merchant_risk_1d"]) == (2, 0.5)
    # Day 14: seven days ago there was the fraud of day 6.9, in 7 days all three.
    fifth = named(rows, 4)
    assert (fifth["merchant_count_1d"], fifth["merchant_risk_1d"]) == (1, 1.0)
    assert (fifth["merchant_count_7d"], fifth["merchant_risk_7d"]) == (2, 0.5)
    assert (fifth["merchant_count_30d"], fifth["merchant_risk_30d"]) == (3, 2 / 3)
    assert named(rows, 5)["weekend"] == 1.0


def test_every_window_agrees_with_a_slow_count() -> None:
    data = drawn(3, count=400)
    rows = features(data)
    for place in range(0, 400, 7):
        now, found = data.time_ms[place], named(rows, place)
        for days in (1, 7, 30):
            own = (data.card == data.card[place]) & (data.time_ms <= now)
            own &= data.time_ms > now - days * DAY_MS
            assert found[f"card_count_{days}d"] == own.sum()
            assert found[f"card_mean_amount_{days}d"] == pytest.approx(data.amount_minor[own].mean() / 100)
            until = now - 7 * DAY_MS
            there = (data.merchant == data.merchant[place]) & (data.time_ms <= until)
            there &= data.time_ms > until - days * DAY_MS
            assert found[f"merchant_count_{days}d"] == there.sum()
            risk = data.fraud[there].mean() if there.any() else 0.0
            assert found[f"merchant_risk_{days}d"] == pytest.approx(risk)


def test_what_comes_later_changes_no_feature() -> None:
    data = drawn(4)
    whole = features(data)
    cut = 1500
    now = data.time_ms[cut]
    later = data.time_ms > now
    other = replace(
        data,
        card=np.where(later, 1, data.card),
        merchant=np.where(later, 1, data.merchant),
        amount_minor=np.where(later, 7, data.amount_minor),
        # A fraud of the last seven days is not known yet either.
        fraud=np.where(data.time_ms > now - 7 * DAY_MS, ~data.fraud, data.fraud),
    )
    assert np.array_equal(features(other)[: cut + 1], whole[: cut + 1])


def test_a_fraud_that_was_reported_too_late_is_no_risk() -> None:
    data = history([(0.0, 1, 9, 1000, True), (8.0, 2, 9, 1000, False)])
    late = replace(data, reported_ms=data.reported_ms + np.array([1, 0]))
    assert named(features(data), 1)["merchant_risk_7d"] == 1.0
    assert named(features(late), 1)["merchant_risk_7d"] == 0.0


def test_the_split_keeps_known_cards_out() -> None:
    data = history(
        [
            (0.1, 1, 9, 1, True),
            (1.1, 2, 9, 1, True),  # in the delay: known on the second day of the test
            (2.1, 1, 9, 1, False),  # its card is blocked
            (2.2, 2, 9, 1, False),
            (2.3, 3, 9, 1, True),
            (3.1, 2, 9, 1, False),  # blocked by now
            (3.2, 3, 9, 1, False),
        ]
    )
    data = replace(data, reported_ms=np.where(data.fraud, data.time_ms + DAY_MS, 0))
    sets = split(data, Split(first_day=0, train_days=1, delay_days=1, test_days=2))
    assert sets.train.tolist() == [True, False, False, False, False, False, False]
    assert sets.test.tolist() == [False, False, False, True, True, False, True]
    assert sets.known_fraud.tolist() == [True, False, False, False, False, False, False]


@pytest.mark.parametrize("kind", ["lr", "rf"])
def test_training_never_sees_the_future(kind: str) -> None:
    """Whatever happens, and whatever is reported, after the model is made: the model is the same."""
    pytest.importorskip("sklearn")
    data = drawn(8)
    days = Split(first_day=8, train_days=7, delay_days=7, test_days=7)
    made_ms = MONDAY_MS + days.test_day * DAY_MS

    def learned(given: History) -> tuple[np.ndarray, np.ndarray]:
        rows = features(given)
        sets = split(given, days)
        model = Model(kind, 0)
        model.learn(rows[sets.train], sets.known_fraud[sets.train])
        return model.scores(rows[sets.train]), model.scores(features(data)[sets.train])

    later = data.time_ms >= made_ms
    rng = np.random.default_rng(1)
    unknown = data.reported_ms > made_ms
    changed = replace(
        data,
        amount_minor=np.where(later, rng.integers(1, 99_999, len(data)), data.amount_minor),
        card=np.where(later, 0, data.card),
        merchant=np.where(later, 0, data.merchant),
        fraud=np.where(later, rng.random(len(data)) < 0.5, data.fraud),
        reported_ms=np.where(unknown, data.reported_ms + DAY_MS, data.reported_ms),
    )
    for before, after in zip(learned(data), learned(changed), strict=True):
        assert np.array_equal(before, after)
    # And it is not blind: what was known then does make a difference.
    seen = replace(data, fraud=np.where(later, data.fraud, ~data.fraud), reported_ms=data.time_ms)
    assert not np.array_equal(learned(data)[0], learned(seen)[0])


def test_a_model_finds_what_is_there() -> None:
    pytest.importorskip("sklearn")
    data = drawn(9, count=8000)
    days = Split(first_day=8, train_days=7, delay_days=7, test_days=7)
    sets, rows = split(data, days), features(data)
    model = Model("lr", 0)
    model.learn(rows[sets.train], sets.known_fraud[sets.train])
    score = measure("lr", model.scores(rows[sets.test]), data, sets.test)
    assert score.auc_roc is not None
    assert score.auc_roc > 0.8
