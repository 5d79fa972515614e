"""Simulations for tests: small ones, made once and shared."""

from functools import cache

from fraudctl.config.load import load
from fraudctl.config.preset_file import read_preset_document
from fraudctl.simulator.batch import Batch, joined
from fraudctl.simulator.preset import parse_preset
from fraudctl.simulator.simulation import Simulation

SETTINGS = load(profile="local").settings


def simulation(preset: str = "everyday", seed: int = 7, **changes: object) -> Simulation:
    """A simulation of a preset with some of its settings changed."""
    parsed = parse_preset(read_preset_document(preset), changes)
    return Simulation(parsed, SETTINGS.producer, SETTINGS.events, seed)


@cache
def drawn(difficulty: float, days: int = 14, fraud_rate: float = 0.01) -> tuple[Simulation, Batch]:
    """A simulation of the everyday preset, and all its transactions."""
    made = simulation(difficulty=difficulty, days=days, fraud_rate=fraud_rate)
    return made, joined(list(made.days()))
