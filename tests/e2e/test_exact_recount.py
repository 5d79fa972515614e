"""Bars 1 and 4: a dirty log, duplicates of every kind, a killed detector; and not one number is off."""

import json
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from fraudctl.config.load import load
from fraudctl.simulator.arrivals import Arrivals, Faults, Message
from tests.conftest import NewStack
from tests.support import scenario
from tests.support.bars import Bar
from tests.support.raw_log import CREATE_TIME, Raw, send
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.timeout(1200)]

SEED = 20_261_124
PARTITIONS = 3
MINUTES = 100
FAULTS = Faults(duplicates=0.10, out_of_order=0.10, late=0.02, malformed=0.02)
# Every so many messages another payload comes under an id that was there before, on another partition.
CONFLICT_EVERY = 2_500


def dirty_log(events: int) -> Arrivals:
    """`events` transactions within 100 minutes that end a minute ago."""
    settings = load().settings
    start_ms = (round(time.time()) - (MINUTES + 1) * 60) * 1000
    plan = (events // MINUTES,) * MINUTES
    return Arrivals(settings.producer, settings.events, settings.lateness, FAULTS, SEED, start_ms, plan)


def placed(messages: Sequence[Message]) -> Iterator[tuple[Raw, str]]:
    """Each message with its partition, and the conflicts; every other duplicate goes astray."""
    for number, message in enumerate(messages):
        home = zlib.crc32(message.key) % PARTITIONS
        astray = message.fate == "duplicate" and number % 2
        place = (home + 1) % PARTITIONS if astray else home
        yield Raw(place, message.value, message.arrival_ms, message.key), message.fate
        if message.fate == "counted" and number % CONFLICT_EVERY < 1:
            document = json.loads(message.value)
            document["amount_minor"] += 1
            value = json.dumps(document).encode()
            yield Raw((home + 1) % PARTITIONS, value, message.arrival_ms, message.key), "conflict"


def ledger(stack: Stack) -> list[tuple[int, int, dict[str, list[int]], dict[str, dict[str, int]]]]:
    return scenario.execute(
        stack, "SELECT batch_id, epoch, offsets, intake FROM fraud.batch_ledger ORDER BY batch_id"
    )


def kinds_of_duplicates(stack: Stack, records: Sequence[Raw], offsets: Sequence[int]) -> Counter[str]:
    """How many copies came in the batch of their first, in a later one, after a restart, elsewhere."""
    read_in: dict[tuple[int, int], tuple[int, int]] = {}
    for batch_id, epoch, ranges, _ in ledger(stack):
        for partition, (first, end) in ranges.items():
            read_in |= {(int(partition), offset): (batch_id, epoch) for offset in range(first, end)}
    kinds: Counter[str] = Counter()
    firsts: dict[bytes, tuple[int, tuple[int, int]]] = {}
    for record, offset in zip(records, offsets, strict=True):
        assert record.value is not None
        own = read_in[record.partition, offset]
        if record.value not in firsts:
            firsts[record.value] = (record.partition, own)
            continue
        partition, first = firsts[record.value]
        kinds["within a batch"] += first[0] == own[0]
        kinds["across batches"] += first[0] != own[0]
        kinds["across restarts"] += first[1] != own[1]
        kinds["across partitions"] += partition != record.partition
    return kinds


@pytest.mark.parametrize(
    ("events", "batch"),
    [
        (10_000, 1_000),
        pytest.param(
            100_000,
            5_000,
            marks=[
                pytest.mark.slow,
                pytest.mark.bar(1, "exact recount of a dirty log", target="diff 0, verify <= 60 s"),
                pytest.mark.bar(4, "conservation: read = admitted + refused", target="exact in every batch"),
            ],
        ),
    ],
)
def test_a_dirty_log_is_counted_exactly(new_stack: NewStack, bar: Bar, events: int, batch: int) -> None:
    """Intent: nothing in the log can move a number. Steps: send the first half, kill the detector in the
    middle of it, send the rest, catch up, verify.

    Observables: verify's verdict; every fate as planned by the simulator, every conflict by id; copies of
    each kind were there; in every batch and partition offsets read = admitted + refused.
    """
    stack = new_stack(
        {
            **CREATE_TIME,
            "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0",
            "FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": str(batch),
        }
    )
    stack.up()
    plan = dirty_log(events)
    assert sum(plan.plan) == events
    sent = list(placed(list(plan)))
    records = [record for record, _ in sent]
    conflicts = {
        json.loads(record.value or b"")["transaction_id"] for record, fate in sent if fate == "conflict"
    }
    middle = len(records) // 2

    offsets = send(stack, records[:middle])
    detect = scenario.start(stack, "detect")
    scenario.wait_for("a few batches", lambda: len(scenario.progress(stack)) >= 3)
    scenario.kill_detector(stack)
    detect.finish(codes=(4,))
    offsets += send(stack, records[middle:])
    stack.run("detect", "--until-caught-up", timeout=300)
    verified = stack.json("verify-idempotency")

    assert verified["verdict"] == "ok"
    planned = Counter(fate for _, fate in sent)
    fates = Counter(verified["fates"])
    assert fates["counted"] == planned["counted"] + planned["conflict"]
    assert (fates["duplicate"], fates["late"]) == (planned["duplicate"], planned["late"])
    assert fates["dropped_by_engine"] == 0
    assert fates.total() == verified["events_read"] == len(records)
    assert fates.total() - fates["counted"] - fates["duplicate"] - fates["late"] == planned["malformed"]
    assert set(verified["conflicting_ids"]) == conflicts
    kinds = kinds_of_duplicates(stack, records, offsets)
    assert min(kinds.values()) > 0
    assert len(kinds) == 4
    balanced = balanced_ranges(stack)
    assert balanced > verified["batches"]
    bar(
        f"{fates.total():,} offsets, {balanced} ranges of {verified['batches']} batches: exact",
        number=4,
    )
    assert verified["seconds"] <= 60
    bar(
        f"{verified['events_read']:,} records, {verified['rows_compared']:,} rows: diff 0,"
        f" verify {verified['seconds']:.1f} s",
        number=1,
    )
    shown = ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items()))
    print(f"copies: {shown}; {len(conflicts)} conflicts; {verified['batches']} batches")


def balanced_ranges(stack: Stack) -> int:
    """How many ranges add up, of every batch and partition: all, or it raises.

    Said by the ledger itself; that the log agrees is what verify has found.
    """
    found = 0
    for batch_id, _, ranges, intake in ledger(stack):
        for partition, (first, end) in ranges.items():
            assert sum(intake.get(partition, {}).values()) == end - first, (batch_id, partition)
            found += end > first
    return found
