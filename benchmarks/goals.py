"""The goals of the pipeline's speed, each a ratio (or a bound) computed from the raw samples of one run."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import by_round, ratio
from benchmarks.services import THIS

Samples = Sequence[dict[str, Any]]
TIMES = "×"  # noqa: RUF001 - the sign of multiplication is meant
# In the table this stands for the side that is the earlier commit.
COMMIT = "commit"


@dataclass(frozen=True)
class Goal:
    """One goal; `at_least` tells whether more or less is better, `measure` gives None without samples."""

    text: str
    target: float
    at_least: bool
    measure: Callable[[Samples], float | None]
    stretch: float | None = None
    unit: str = TIMES

    def met(self, measured: float) -> bool:
        return measured >= self.target if self.at_least else measured <= self.target


def _ratio(group: str, other: str, value: str, side: str = THIS) -> Callable[[Samples], float | None]:
    """Return a measure: the median over the rounds of one side's value by another's."""

    def measure(samples: Samples) -> float | None:
        of_group = [sample for sample in samples if sample["group"] == group]
        return ratio(of_group, side, commit_side(of_group) if other == COMMIT else other, value)

    return measure


def _median(group: str, side: str, value: str) -> Callable[[Samples], float | None]:
    """Return a measure: the median of one side's value."""

    def measure(samples: Samples) -> float | None:
        of_group = [sample for sample in samples if sample["group"] == group]
        values = list(by_round(of_group, side, value).values())
        return statistics.median(values) if values else None

    return measure


def _medians(group: str, other: str, value: str) -> Callable[[Samples], float | None]:
    """Return a measure: the quotient of medians of two groups that do not share rounds."""

    def measure(samples: Samples) -> float | None:
        above, below = _median(group, THIS, value)(samples), _median(other, THIS, value)(samples)
        return above / below if above is not None and below else None

    return measure


def commit_side(samples: Samples) -> str:
    """Return the name of the side that is the earlier commit; empty without one."""
    return next((sample["side"] for sample in samples if sample["side"].startswith(COMMIT)), "")


GOALS = (
    Goal("drain against naive Spark, 2 partitions", 1.3, True,
         _ratio("drain", "naive Spark", "events_per_second"), 1.8),
    Goal("drain against Flink SQL with dedupe", 1.3, True,
         _ratio("drain", "Flink", "events_per_second"), 1.8),
    Goal("drain against the tutorial's defaults, 200 partitions", 8.0, True,
         _ratio("defaults", "naive Spark, 200 partitions", "events_per_second")),
    Goal("drain against the earlier commit", 5.0, True,
         _ratio("drain", COMMIT, "events_per_second"), 7.0),
    Goal("drain as a share of Spark's bare scan", 0.5, True,
         _ratio("drain", "Spark scan", "events_per_second"), 0.65),
    Goal("trigger p50 at 500/s against the earlier commit", 0.45, False,
         _ratio("live-500", COMMIT, "trigger_p50_ms"), 0.3),
    Goal("trigger p50 at 500/s against naive Spark", 1.0, False,
         _ratio("live-500", "naive Spark", "trigger_p50_ms"), 0.8),
    Goal("arrival → row visible at 2,000/s, p50", 0.6, False,
         _median("live-2000", THIS, "delay_p50_seconds"), unit="s"),
    Goal("arrival → row visible at 2,000/s, p99", 1.5, False,
         _median("live-2000", THIS, "delay_p99_seconds"), unit="s"),
    Goal("the same p50 against the earlier commit", 0.5, False,
         _ratio("live-2000", COMMIT, "delay_p50_seconds")),
    Goal("the same p99 against the earlier commit", 0.5, False,
         _ratio("live-2000", COMMIT, "delay_p99_seconds")),
    Goal("`detect` typed → first batch, against the earlier commit", 0.5, False,
         _ratio("start", COMMIT, "seconds")),
    Goal("`demo`, wall time against the earlier commit", 0.6, False, _ratio("demo", COMMIT, "seconds")),
    Goal("batch at the most live keys against the fewest", 1.5, False,
         _median("keys", THIS, "growth")),
    Goal("rules on a card's past, against none", 1.3, False,
         _ratio("card-rules", "without", "trigger_p50_ms", side="10 min")),
    Goal("`verify-idempotency` against the earlier commit", 5.0, True,
         _ratio("verify", COMMIT, "events_per_second"), 8.0),
    Goal("its peak memory on the long log against the short one", 1.2, False,
         _medians("verify-long", "verify", "peak_rss_mb")),
    Goal("`produce` against ProducerPerformance", 0.5, True,
         _ratio("producers", "ProducerPerformance", "events_per_second")),
    Goal("`local[2]` against `local[1]`", 1.6, True,
         _ratio("cores", "local[1]", "events_per_second", side="local[2]")),
    Goal("soak: p95 of the last quarter against the first", 1.2, False,
         _median("soak", THIS, "p95_growth")),
)  # fmt: skip
