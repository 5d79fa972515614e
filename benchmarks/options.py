"""The size of a run: everything that `--quick` and `--tiny` make smaller."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Sizes:
    """The amount of work of each group. Counts are events or records, durations seconds."""

    name: str
    rounds: int
    warm_up_rounds: int  # of groups whose sides have no first batch to drop
    drain_events: int
    drain_batch: int
    defaults_events: int
    defaults_batch: int
    live_rates: tuple[int, ...]
    live_seconds: float
    live_warm_up_seconds: float
    start_events: int
    with_demo: bool
    verify_events: tuple[int, int]
    producer_events: int
    cores_events: int
    rules_events: int
    rules_batch: int
    with_forests: bool
    key_steps: tuple[int, ...]  # live keys at which a batch is timed
    key_batch: int
    growth_events: int
    soak_seconds: float
    soak_rate: int


FULL = Sizes(
    name="full",
    rounds=5,
    warm_up_rounds=1,
    drain_events=3_000_000,
    drain_batch=300_000,
    defaults_events=900_000,
    defaults_batch=300_000,
    live_rates=(500, 2_000),
    live_seconds=45.0,
    live_warm_up_seconds=15.0,
    start_events=6_000,
    with_demo=True,
    verify_events=(1_000_000, 10_000_000),
    producer_events=1_000_000,
    cores_events=1_500_000,
    rules_events=60_000,
    rules_batch=5_000,
    with_forests=True,
    key_steps=(200_000, 1_000_000, 10_000_000),
    key_batch=100_000,
    growth_events=900_000,
    soak_seconds=1_800.0,
    soak_rate=5_000,
)
QUICK = replace(
    FULL,
    name="quick",
    rounds=1,
    warm_up_rounds=0,
    drain_events=300_000,
    drain_batch=75_000,
    defaults_events=60_000,
    defaults_batch=20_000,
    live_rates=(500,),
    live_seconds=20.0,
    live_warm_up_seconds=8.0,
    with_demo=False,
    verify_events=(100_000, 400_000),
    producer_events=200_000,
    cores_events=200_000,
    rules_events=20_000,
    with_forests=False,
    key_steps=(200_000, 400_000, 1_000_000),
    growth_events=200_000,
    soak_seconds=120.0,
)
TINY = replace(
    QUICK,
    name="tiny",
    drain_events=6_000,
    drain_batch=2_000,
    defaults_events=4_000,
    defaults_batch=2_000,
    live_seconds=12.0,
    live_warm_up_seconds=2.0,
    start_events=1_000,
    verify_events=(4_000, 8_000),
    producer_events=5_000,
    cores_events=6_000,
    rules_events=4_000,
    rules_batch=1_000,
    key_steps=(4_000, 8_000, 16_000),
    key_batch=2_000,
    growth_events=6_000,
    soak_seconds=60.0,
    soak_rate=500,
)
SIZES = {size.name: size for size in (FULL, QUICK, TINY)}
