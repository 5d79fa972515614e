"""Baseline of detection: the rule "amount > x", with as many alerts as there is fraud."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudctl.simulator.draws import Ints


@dataclass(frozen=True)
class Yardstick:
    """The result of the baseline rule.

    `amount_over` is x in minor units. `recall` is the share of the fraud that the rule finds, `random_recall`
    the share that random picks would find.
    """

    amount_over: int
    alerts: int
    recall: float
    random_recall: float

    @property
    def times_random(self) -> float:
        """Return how many times as much fraud the rule finds as random picks would; 0 without alerts."""
        return self.recall / self.random_recall if self.random_recall else 0.0


def yardstick(amount_minor: Ints, fraud: npt.NDArray[np.bool_]) -> Yardstick:
    """Measure the rule with at most one alert for each fraud; equal amounts are treated alike."""
    budget = int(fraud.sum())
    if budget == 0 or budget >= len(fraud):
        return Yardstick(0, 0, 0.0, 0.0)
    # The largest amount that must not raise an alert: the first one beyond the budget.
    bound = int(np.sort(amount_minor)[len(amount_minor) - 1 - budget])
    alerted = amount_minor > bound
    alerts = int(alerted.sum())
    found = int((alerted & fraud).sum())
    return Yardstick(bound, alerts, found / budget, alerts / len(fraud))
