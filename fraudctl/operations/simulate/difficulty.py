"""The difficulty curve: the share of fraud that the rule "amount > x" finds at each difficulty."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fraudctl.config.model import Settings
from fraudctl.errors import UsageError
from fraudctl.simulator.batch import GENUINE, joined
from fraudctl.simulator.preset import parse_preset
from fraudctl.simulator.simulation import Simulation
from fraudctl.simulator.yardstick import Yardstick, yardstick

STEPS = 20


@dataclass(frozen=True)
class DifficultyRequest:
    """A request for a curve, with the fields of a `SimulateRequest`.

    The difficulty in the preset or in `changes` is not used. The curve goes from 0 to 1 in `steps` steps.
    """

    settings: Settings
    preset: str
    document: Mapping[str, object]
    changes: Mapping[str, object]
    seed: int
    steps: int = STEPS


@dataclass(frozen=True)
class Point:
    """The baseline rule's result at one difficulty; `recall_by_scenario` uses the rule's one threshold."""

    difficulty: float
    transactions: int
    fraud: int
    yardstick: Yardstick
    recall_by_scenario: dict[str, float]


@dataclass(frozen=True)
class DifficultyCurve:
    """The baseline rule's results, by increasing difficulty."""

    preset: str
    seed: int
    points: tuple[Point, ...]


Observe = Callable[[Point], None]


def difficulty_curve(request: DifficultyRequest, *, observe: Observe) -> DifficultyCurve:
    """Run the preset once for each difficulty, always with the same seed.

    Raises:
        UsageError: the preset has no difficulty.
        ConfigError: the preset is not valid.
    """
    points = []
    for step in range(request.steps + 1):
        points.append(_point(request, step / request.steps))
        observe(points[-1])
    return DifficultyCurve(request.preset, request.seed, tuple(points))


def _point(request: DifficultyRequest, difficulty: float) -> Point:
    changes = {**request.changes, "difficulty": difficulty}
    if request.document.get("model") != "habits":
        raise UsageError(f"the preset {request.preset!r} has no difficulty", hint="take --preset everyday")
    preset = parse_preset(request.document, changes)
    simulation = Simulation(preset, request.settings.producer, request.settings.events, request.seed)
    everything = joined(list(simulation.days()))
    found = yardstick(everything.amount_minor, everything.fraud)
    alerted = everything.amount_minor > found.amount_over
    names = simulation.names.scenarios
    frauds = np.bincount(everything.scenario, minlength=len(names))
    hits = np.bincount(everything.scenario[alerted], minlength=len(names))
    return Point(
        difficulty=difficulty,
        transactions=len(everything),
        fraud=int(everything.fraud.sum()),
        yardstick=found,
        recall_by_scenario={
            name: round(int(hits[place]) / int(frauds[place]), 6)
            for place, name in enumerate(names)
            if place != GENUINE and frauds[place]
        },
    )
