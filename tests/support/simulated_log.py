"""A stack whose topic holds simulated hours: duplicates, late, future, malformed, disordered messages."""

from fraudctl.clock import StopFlag, utc_now
from fraudctl.config.load import load
from fraudctl.operations.produce import steady
from fraudctl.simulator.arrivals import Arrivals, Faults, arrivals
from tests.conftest import NewStack
from tests.support.stacks import Stack

FAULTS = Faults(duplicates=0.1, out_of_order=0.1, late=0.02, future=0.01, malformed=0.02)
MINUTE_MS = 60_000
SETTINGS = {
    "FRAUDCTL_KAFKA__TIMESTAMP_TYPE": "CreateTime",
    "FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": "400",
    "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0",
}


def new(new_stack: NewStack, **environ: str) -> Stack:
    """A running stack with an empty topic that believes the producer's clock; small batches."""
    stack = new_stack({**SETTINGS, **environ})
    stack.up()
    return stack


def fill(
    stack: Stack,
    *,
    hours: float,
    seed: int,
    per_minute: float = 16,
    until_hours_ago: float = 0,
    cards: int | None = None,
) -> int:
    """Send `hours` of traffic that ended a while ago; how many messages it was. `cards`: of so many cards."""
    traffic = simulated(hours, seed, per_minute, until_hours_ago, cards)
    settings = load().settings
    deliveries = steady.produce_messages(
        stack.kafka, settings, traffic, stop=StopFlag(), observe=lambda _progress: None, seed=seed
    )
    assert deliveries.acknowledged == sum(traffic.expected.values())
    return deliveries.acknowledged


def simulated(
    hours: float, seed: int, per_minute: float, until_hours_ago: float, cards: int | None = None
) -> Arrivals:
    """Traffic of about the same size whenever the test runs: at night people spend a sixth of the average."""
    wanted = hours * 60 * per_minute
    first = _simulated(hours, seed, per_minute, until_hours_ago, cards)
    scale = wanted / sum(first.expected.values())
    return _simulated(hours, seed, per_minute * scale, until_hours_ago, cards) if scale > 1 else first


def _simulated(
    hours: float, seed: int, per_minute: float, until_hours_ago: float, cards: int | None
) -> Arrivals:
    settings = load(flags={"producer.cards": cards} if cards else None).settings
    minutes = round(hours * 60)
    end_ms = int(utc_now().timestamp() * 1000) // MINUTE_MS * MINUTE_MS
    end_ms -= round(until_hours_ago * 60) * MINUTE_MS
    return arrivals(
        settings.producer,
        settings.events,
        settings.lateness,
        seed=seed,
        start_ms=end_ms - minutes * MINUTE_MS,
        hours=hours,
        events_per_minute=per_minute,
        faults=FAULTS,
    )
