"""Events per second: the simulator beside a loop of dict and json.dumps. Interleaved rounds in one process.

The loop is what a script would do: draw the fields of one event with `random`, put them into a dict, dump it.
It knows no habits and no fraud, so it is given less to do than the simulator. The bare loop dumps one and the
same dict again and again: nothing that calls json.dumps for every event can be faster.

    .venv/bin/python benchmarks/simulator.py [ROUNDS] [DAYS]
"""

import json
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fraudctl.config.load import load
from fraudctl.config.preset_file import read_preset_document
from fraudctl.simulator.preset import parse_preset
from fraudctl.simulator.simulation import Simulation
from fraudctl.simulator.wire import Wire

SETTINGS = load(profile="local").settings
LOOP_EVENTS = 50_000
CATEGORIES = ("Retail", "Food", "Electronics")
COUNTRIES = ("DE", "FR", "ES", "IT", "NL", "AT", "BE")
CHANNELS = ("contactless", "chip", "ecom")
START = datetime(2026, 3, 2, tzinfo=UTC)


def simulator(days: int) -> int:
    """The whole of it: population, habits, fraud, labels, order of time, lines."""
    preset = parse_preset(read_preset_document("everyday"), {"days": days})
    simulation = Simulation(preset, SETTINGS.producer, SETTINGS.events, seed=1)
    wire = Wire(simulation.names)
    events = 0
    for batch in simulation.days():
        events += len(batch)
        for _ in wire.lines(batch):
            pass
    return events


def loop(_days: int) -> int:
    """One dict and one json.dumps an event."""
    for number in range(LOOP_EVENTS):
        moment = START + timedelta(milliseconds=number * 100 + random.randrange(100))
        event = {
            "schema_version": 1,
            "transaction_id": str(uuid.uuid4()),
            "event_time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "card_id": f"card-{random.randrange(5_000):06d}",
            "merchant_id": f"merchant-{random.randrange(1_200):05d}",
            "category": random.choice(CATEGORIES),
            "amount_minor": max(1, int(random.lognormvariate(8.0, 0.7))),
            "currency": "EUR",
            "country": random.choice(COUNTRIES),
            "channel": random.choice(CHANNELS),
        }
        json.dumps(event, separators=(",", ":")).encode() + b"\n"
    return LOOP_EVENTS


def bare(_days: int) -> int:
    """One json.dumps an event, and nothing else."""
    event = {
        "schema_version": 1,
        "transaction_id": "019cabd8-5d22-7abd-b0f6-27a4ad4b7392",
        "event_time": "2026-03-02T00:00:09.506Z",
        "card_id": "card-002012",
        "merchant_id": "merchant-00211",
        "category": "Food",
        "amount_minor": 2074,
        "currency": "EUR",
        "country": "FR",
        "channel": "contactless",
    }
    for _ in range(LOOP_EVENTS):
        json.dumps(event)
    return LOOP_EVENTS


SIDES: dict[str, Callable[[int], int]] = {"simulator": simulator, "loop": loop, "bare json.dumps": bare}


def rate(side: Callable[[int], int], days: int) -> float:
    began = time.perf_counter()
    return side(days) / (time.perf_counter() - began)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    days = int(sys.argv[2]) if len(sys.argv) > 2 else 28
    simulator(1)  # tables of digits, made once a process
    rates: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, side in SIDES.items():
            rates[name].append(rate(side, days))
    for name, values in rates.items():
        print(f"{name:<16} median {statistics.median(values):>11,.0f}/s  best {max(values):>11,.0f}/s")
    for name in ("loop", "bare json.dumps"):
        ratios = [ours / theirs for ours, theirs in zip(rates["simulator"], rates[name], strict=True)]
        print(f"simulator / {name}: median {statistics.median(ratios):.1f}, best {max(ratios):.1f}")


if __name__ == "__main__":
    main()
