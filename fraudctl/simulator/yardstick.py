"""How well the simplest rule of all would do: "amount > x", raising as many alerts as there is fraud."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudctl.simulator.draws import Ints


@dataclass(frozen=True)
class Yardstick:
    """`recall` is the share of the fraud that the rule finds, `random_recall` what blind picks would find."""

    amount_over: int
    alerts: int
    recall: float
    random_recall: float

    @property
    def times_random(self) -> float:
        return self.recall / self.random_recall if self.random_recall else 0.0


def yardstick(amount_minor: Ints, fraud: npt.NDArray[np.bool_]) -> Yardstick:
    """The rule is given one alert for each fraud, no more; equal amounts share one verdict."""
    budget = int(fraud.sum())
    if budget == 0 or budget >= len(fraud):
        return Yardstick(0, 0, 0.0, 0.0)
    # The largest amount that must not raise an alert: the one that comes right after the budget.
    bound = int(np.sort(amount_minor)[len(amount_minor) - 1 - budget])
    alerted = amount_minor > bound
    alerts = int(alerted.sum())
    found = int((alerted & fraud).sum())
    return Yardstick(bound, alerts, found / budget, alerts / len(fraud))
