"""A bad network: every fault counted exactly, and the independent recount agrees with every fate."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fraudctl.config.rules_file import read_rules_document
from fraudctl.recount.recount import recount
from fraudctl.rules.model import parse_rules
from fraudctl.simulator.arrivals import FATES
from fraudctl.simulator.batch import DAY_MS
from fraudctl.simulator.disorder import Deliveries, Disorder, Network
from fraudctl.simulator.malformed import SHAPES
from fraudctl.simulator.wire import Wire
from tests.support.simulations import SETTINGS, simulation

HEAVY = Disorder(
    duplicates=0.1,
    out_of_order=0.1,
    late=0.05,
    future=0.04,
    clock_skew=0.1,
    malformed=0.05,
    pauses_per_day=6,
    pause_seconds=240,
    bursts_per_day=6,
    burst_seconds=30,
    burst_factor=20,
)
LATENESS = SETTINGS.lateness


def carried(disorder: Disorder, *, days: int = 2, cards: int = 400) -> tuple[Network, list[Deliveries], Wire]:
    made = simulation(days=days, cards=cards)
    network = Network(disorder, LATENESS, made.preset.start_ms, 7)
    return network, list(network.carry(made.days())), Wire(made.names)


def fates(parts: list[Deliveries]) -> Counter[str]:
    return Counter(FATES[fate] for part in parts for fate in part.fates(LATENESS).tolist())


def test_the_recount_agrees_with_every_fate() -> None:
    network, parts, wire = carried(HEAVY)
    arrivals = [int(ms) for part in parts for ms in part.arrival_ms]
    values = [value for part in parts for value in part.values(wire)]
    result = recount(
        [(0, offset, *record) for offset, record in enumerate(zip(arrivals, values, strict=True))],
        events=SETTINGS.events,
        windows=SETTINGS.windows,
        lateness=LATENESS,
        rules=parse_rules(read_rules_document(SETTINGS.rules.file)),
    )
    mine = fates(parts)
    assert {name: result.fates[0][name] for name in FATES if name != "malformed"} == {
        name: mine[name] for name in FATES if name != "malformed"
    }
    assert sum(mine.values()) == len(values) == result.fates[0].total()
    assert network.faults["malformed"] == mine["malformed"]


def test_the_counts_are_the_shares_of_the_whole() -> None:
    network, parts, _ = carried(HEAVY)
    total = sum(int((~part.again).sum()) for part in parts)
    for name in ("duplicates", "out_of_order", "late", "future", "clock_skew", "malformed"):
        assert network.faults[name] == pytest.approx(total * getattr(HEAVY, name), abs=1)
    assert sum(int(part.again.sum()) for part in parts) == network.faults["duplicates"]


def test_without_pauses_fates_are_the_faults() -> None:
    network, parts, _ = carried(
        Disorder(duplicates=0.1, out_of_order=0.1, late=0.1, future=0.1, clock_skew=0.1, malformed=0.1)
    )
    found = fates(parts)
    assert found["late"] == network.faults["late"]
    assert found["future"] == network.faults["future"]
    assert found["duplicate"] == network.faults["duplicates"]
    assert found["malformed"] == network.faults["malformed"]


def test_without_faults_every_event_arrives_once_and_soon() -> None:
    network, parts, wire = carried(Disorder())
    assert set(fates(parts)) == {"counted"}
    assert not any(network.faults.values())
    for part in parts:
        lag = part.arrival_ms - part.batch.time_ms
        assert (lag >= 0).all()
        assert (lag <= 1_500).all()
        assert len(part.values(wire)) == len(part)


def test_messages_come_in_the_order_of_arrival() -> None:
    _, parts, _ = carried(HEAVY, days=3)
    arrivals = np.concatenate([part.arrival_ms for part in parts])
    assert (np.diff(arrivals) >= 0).all()
    times = np.concatenate([part.batch.time_ms for part in parts])
    assert (np.diff(times) < 0).mean() > 0.1


def test_second_copies_are_the_same_bytes_and_come_later() -> None:
    _, parts, wire = carried(Disorder(duplicates=0.2))
    values = [value for part in parts for value in part.values(wire)]
    again = [bool(mark) for part in parts for mark in part.again]
    seen: set[bytes] = set()
    for value, mark in zip(values, again, strict=True):
        assert (value in seen) == mark
        seen.add(value)


def test_malformed_messages_take_every_shape_in_turn() -> None:
    _, parts, wire = carried(Disorder(malformed=0.3))
    shapes = Counter(int(shape) for part in parts for shape in part.shape if shape >= 0)
    assert set(shapes) == set(range(len(SHAPES)))
    assert max(shapes.values()) - min(shapes.values()) <= 1
    whole: list[Any] = []
    for part in parts:
        for value, shape in zip(part.values(wire), part.shape, strict=True):
            if shape < 0:
                whole.append(json.loads(value))
    assert all(isinstance(event, dict) for event in whole)


def test_during_a_pause_nothing_arrives_and_then_everything() -> None:
    pause = Disorder(pauses_per_day=1, pause_seconds=600)
    network, parts, _ = carried(pause, days=1)
    arrivals = np.concatenate([part.arrival_ms for part in parts])
    together = np.bincount(np.unique(arrivals, return_inverse=True)[1])
    end = int(np.unique(arrivals)[together.argmax()])
    assert together.max() >= network.faults["held_back"] > 3
    assert not ((arrivals >= end - 600_000) & (arrivals < end)).any()


def test_a_burst_is_many_times_as_busy_and_a_lull_follows() -> None:
    network, parts, _ = carried(
        Disorder(bursts_per_day=1, burst_seconds=60, burst_factor=60), days=1, cards=5000
    )
    times = np.sort(np.concatenate([part.batch.time_ms for part in parts]))
    minutes = np.bincount((times - times[0] // DAY_MS * DAY_MS) // 1_000)
    in_a_minute = np.convolve(minutes, np.ones(60, dtype=np.int64))
    assert in_a_minute.max() >= network.faults["in_bursts"]
    assert in_a_minute.max() > 10 * np.median(in_a_minute[in_a_minute > 0])


def test_a_skewed_clock_is_wrong_and_within_bounds() -> None:
    _, parts, _ = carried(Disorder(clock_skew=1.0))
    lag = np.concatenate([part.arrival_ms - part.batch.time_ms for part in parts])
    assert set(fates(parts)) == {"counted"}
    assert (lag < 0).any()
    assert (lag > 60_000).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"duplicates": 0.6, "late": 0.6},
        {"late": -0.1},
        {"pauses_per_day": 200, "pause_seconds": 600},
        {"bursts_per_day": 100, "burst_seconds": 60, "burst_factor": 20},
        {"lates": 0.1},
    ],
)
def test_the_impossible_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Disorder(**wrong)
