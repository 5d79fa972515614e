"""Simulated deliveries on real clocks: none lost, copies alike, hours and lateness as they were."""

from dataclasses import replace

import numpy as np
import pytest

from fraudctl.simulator.arrivals import FATES
from fraudctl.simulator.batch import DAY_MS
from fraudctl.simulator.clocks import Rows, Stamps, days_back, shifted
from fraudctl.simulator.disorder import Deliveries, Disorder, Network
from fraudctl.simulator.wire import Wire
from tests.support.simulations import SETTINGS, simulation

DISORDER = Disorder(duplicates=0.2, out_of_order=0.2, late=0.1, future=0.1, clock_skew=0.1)
NOW_MS = 1_790_000_000_000


def parts(days: int = 2) -> list[Deliveries]:
    made = simulation(days=days, cards=300)
    return list(Network(DISORDER, SETTINGS.lateness, made.preset.start_ms, 7).carry(made.days()))


def ids(deliveries: Deliveries) -> list[int]:
    return [int(word) for word in deliveries.batch.id_low]


@pytest.mark.parametrize("most", [1, 7, 10_000])
def test_rows_are_taken_in_order_and_none_is_lost(most: int) -> None:
    rows, taken = Rows(iter(parts())), []
    while (part := rows.take(most)) is not None:
        assert 0 < len(part) <= most
        taken += ids(part)
    assert taken == [number for part in parts() for number in ids(part)]
    assert rows.next_arrival_ms() is None


def test_rows_wait_for_their_moment() -> None:
    rows = Rows(iter(parts()))
    first = rows.next_arrival_ms()
    assert first is not None
    assert rows.take(10, before_ms=first) is None
    taken = rows.take(1_000, before_ms=first + 3_600_000)
    assert taken is not None
    assert taken.arrival_ms.max() < first + 3_600_000
    after = rows.next_arrival_ms()
    assert after is not None
    assert after >= first + 3_600_000


def test_stamped_live_each_keeps_its_fate() -> None:
    stamps = Stamps()
    for part in parts():
        now = NOW_MS + np.arange(len(part))
        stamped = stamps.at(part, now)
        assert stamped.arrival_ms.tolist() == now.tolist()
        single = ~part.again
        fates, before = stamped.fates(SETTINGS.lateness), part.fates(SETTINGS.lateness)
        assert fates[single].tolist() == before[single].tolist()
        assert set(before.tolist()) >= {FATES.index("late"), FATES.index("future"), FATES.index("duplicate")}
        break


@pytest.mark.parametrize("most", [1, 100_000])
def test_a_copy_is_its_original_however_the_rows_are_cut(most: int) -> None:
    wire = Wire(simulation(cards=300).names)
    stamps, rows, sent = Stamps(), Rows(iter(parts())), []
    while (part := rows.take(most)) is not None:
        now = NOW_MS + np.arange(len(sent), len(sent) + len(part))
        sent += stamps.at(part, now).values(wire)
    copies = sum(int(part.again.sum()) for part in parts())
    assert copies > 50
    assert len(sent) - len(set(sent)) == copies


def test_a_shift_is_by_whole_days_and_of_everything() -> None:
    part = parts()[0]
    later = shifted(part, 100)
    assert (later.batch.time_ms - part.batch.time_ms == 100 * DAY_MS).all()
    assert (later.arrival_ms - part.arrival_ms == 100 * DAY_MS).all()
    assert replace(later, batch=part.batch, arrival_ms=part.arrival_ms) == part


@pytest.mark.parametrize("days", [1, 28])
def test_a_backfill_ends_within_the_last_day(days: int) -> None:
    start = 1_772_409_600_000
    end = start + (days_back(start, days, NOW_MS) + days) * DAY_MS
    assert NOW_MS - DAY_MS < end <= NOW_MS
