"""The handbook's data set: as large and as fraudulent as published, each kind of fraud by its definition."""

from functools import cache

import numpy as np
import pytest

from fraudctl.config.preset_file import read_preset_document
from fraudctl.simulator.batch import DAY_MS, Batch
from fraudctl.simulator.handbook import CUSTOMER, LARGE, LARGE_MINOR, TERMINAL, handbook
from fraudctl.simulator.preset import HandbookPreset, parse_preset
from tests.support.simulations import SETTINGS

TRANSACTIONS = 1_754_155


@cache
def whole(seed: int) -> tuple[HandbookPreset, Batch]:
    preset = parse_preset(read_preset_document("handbook"), {})
    assert isinstance(preset, HandbookPreset)
    return preset, handbook(preset, SETTINGS.producer, SETTINGS.events, seed)[1]


@pytest.mark.parametrize("seed", [0, 2026])
def test_it_is_as_large_and_as_fraudulent_as_published(seed: int) -> None:
    _, everything = whole(seed)
    assert len(everything) == pytest.approx(TRANSACTIONS, rel=0.02)
    assert everything.fraud.mean() == pytest.approx(0.0084, abs=0.0005)


def test_the_kinds_of_fraud_have_about_the_published_shares() -> None:
    _, everything = whole(0)
    counts = np.bincount(everything.scenario)
    assert counts[LARGE] == pytest.approx(978, rel=0.2)
    assert counts[TERMINAL] == pytest.approx(9_099, rel=0.05)
    assert counts[CUSTOMER] == pytest.approx(4_604, rel=0.1)


def test_every_large_amount_is_fraud() -> None:
    _, everything = whole(0)
    assert everything.fraud[everything.amount_minor > LARGE_MINOR].all()
    assert (everything.amount_minor[everything.scenario == LARGE] > LARGE_MINOR).all()
    assert everything.amount_minor.min() >= 1


def test_a_compromised_terminal_is_so_for_28_days() -> None:
    preset, everything = whole(0)
    hit = everything.take(everything.scenario == TERMINAL)
    day = (hit.time_ms - preset.start_ms) // DAY_MS
    first = {
        int(terminal): int(day[hit.merchant == terminal].min()) for terminal in np.unique(hit.merchant)[:40]
    }
    for terminal, begin in first.items():
        own = everything.take(everything.merchant == terminal)
        in_days = (own.time_ms - preset.start_ms) // DAY_MS
        # The first fraud may come some days after the compromise, its last day not before 28 days after that.
        assert own.fraud[(in_days >= begin) & (in_days < begin + 14)].mean() > 0.6


def test_customers_are_spread_evenly_and_reach_only_near_terminals() -> None:
    preset, everything = whole(0)
    per_day = np.bincount(everything.card, minlength=preset.customers) / preset.days
    assert per_day.mean() == pytest.approx(1.94, abs=0.02)
    assert per_day.max() == pytest.approx(3.9, abs=0.4)
    terminals = [len(np.unique(everything.merchant[everything.card == card])) for card in range(0, 5000, 250)]
    # A circle of radius 5 holds 79 of 10,000 terminals on a map of 100 by 100, fewer at its edge.
    assert 15 < np.median(terminals) <= 90


def test_amounts_vary_by_half_their_mean() -> None:
    _, everything = whole(0)
    genuine = everything.take(~everything.fraud)
    mean = genuine.amount_minor.mean() / 100
    assert mean == pytest.approx(53.6, rel=0.05)
