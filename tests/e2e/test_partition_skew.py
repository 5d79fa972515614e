"""Bar 15: a partition far behind the others loses nothing, however small the batches are."""

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from fraudctl.config.load import load
from fraudctl.simulator.arrivals import Arrivals, Faults
from tests.conftest import NewStack
from tests.support import scenario
from tests.support.bars import Bar
from tests.support.raw_log import CREATE_TIME, Raw, send

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1200)]

SEED = 15
PARTITIONS = 3
FAULTS = Faults(duplicates=0.1, out_of_order=0.1, late=0.02, malformed=0.01)
MINUTES = 60
PER_MINUTE = 40
BEHIND_MINUTES = 30
BATCH = 400


def traffic(partition: int, *, start_minutes_ago: int, minutes: int) -> Arrivals:
    """One partition's share of the traffic; the same for the same place and span."""
    settings = load().settings
    start_ms = (round(time.time()) // 60 - start_minutes_ago) * 60_000
    seed = SEED + 100 * start_minutes_ago + partition
    plan = (PER_MINUTE,) * minutes
    return Arrivals(settings.producer, settings.events, settings.lateness, FAULTS, seed, start_ms, plan)


def placed(parts: dict[int, Arrivals], fates: Counter[str]) -> Iterator[Raw]:
    for partition, part in parts.items():
        for message in part:
            fates[message.fate] += 1
            yield Raw(partition, message.value, message.arrival_ms, message.key)


@pytest.mark.bar(
    15, "one partition 30 min behind, small batches", target="admitted events dropped by Spark 0, diff 0"
)
def test_a_partition_behind_the_others_loses_nothing(new_stack: NewStack, bar: Bar) -> None:
    """Steps: ten minutes of all partitions are landed; an hour more comes, for partition 0 half an hour
    earlier than for the others; catch up in small batches, with a kill half-way.

    Observables: Spark's own counter of dropped rows; verify's recount, which knows the watermark of every
    batch; every fate as planned.
    """
    stack = new_stack(
        {
            **CREATE_TIME,
            "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0",
            "FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": str(BATCH),
        }
    )
    stack.up()
    fates: Counter[str] = Counter()
    ago = MINUTES + BEHIND_MINUTES + 1
    before = {number: traffic(number, start_minutes_ago=ago + 10, minutes=10) for number in range(PARTITIONS)}
    send(stack, placed(before, fates))
    stack.run("detect", "--until-caught-up")

    backlog = {
        number: traffic(number, start_minutes_ago=ago - BEHIND_MINUTES * (number > 0), minutes=MINUTES)
        for number in range(PARTITIONS)
    }
    send(stack, placed(backlog, fates))
    detect = scenario.start(stack, "detect")
    # Not before it runs: until then the account of the first run is still there.
    scenario.wait_for("the detector", lambda: scenario.detector_pid(stack))
    scenario.wait_for("some batches of the backlog", lambda: len(scenario.progress(stack)) >= 5)
    batches = scenario.progress(stack)
    scenario.kill_detector(stack)
    detect.finish(codes=(4,))
    stack.run("detect", "--until-caught-up", timeout=300)
    batches += scenario.progress(stack)
    verified = stack.json("verify-idempotency", check=False)

    # Without that Spark's watermark would have passed by a good part of the partition that is behind.
    held_back = max(batch["held_back_seconds"] for batch in batches)
    assert held_back >= BEHIND_MINUTES * 60
    assert verified["fates"]["dropped_by_engine"] == 0
    assert sum(batch["dropped_by_watermark"] for batch in batches) == 0
    assert verified["verdict"] == "ok"
    assert (verified["fates"]["counted"], verified["fates"]["duplicate"]) == (
        fates["counted"],
        fates["duplicate"],
    )
    assert verified["events_read"] == fates.total()
    bar(
        f"{fates['counted']:,} admitted, dropped by Spark 0, {verified['rows_compared']:,} rows: diff 0;"
        f" {len(batches)} batches, watermark held back by {held_back // 60} min"
    )
