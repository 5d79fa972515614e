"""Bar 10: whatever a message holds, the detector goes on, and the message becomes the right dead letter."""

import random
import time
from typing import Any

import pytest

from tests.conftest import NewStack
from tests.golden import MESSAGES, value_bytes
from tests.support import scenario
from tests.support.bars import Bar
from tests.support.raw_log import CREATE_TIME, Raw, send
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1200)]

SEED = 20_261_124
GOOD: dict[str, Any] = MESSAGES[0]
LATEST: int = GOOD["arrival_ms"]
# A broker takes no arrival more than an hour ahead of its clock, librdkafka none at or before 1970. What is
# refused whenever it comes arrives at another time instead; the rest is left to the tests of the transforms.
POSSIBLE = range(1, round(time.time() * 1000))
POISON = [
    *(
        case if case["arrival_ms"] in POSSIBLE else {**case, "arrival_ms": LATEST}
        for case in MESSAGES
        if case["expect"] != "admitted"
        and (case["arrival_ms"] in POSSIBLE or case["expect"] not in ("late", "future"))
    ),
    {"name": "a megabyte", "value": "x" * 1_000_000, "arrival_ms": LATEST, "expect": "malformed"},
]
ALONE = POISON[:: len(POISON) // 65]
GOOD_EVERY = 10


def good(number: int) -> Raw:
    value = str(GOOD["value"]).replace('"t-1"', f'"good-{number}"')
    assert f"good-{number}" in value
    return Raw(0, value.encode(), LATEST)


def poison(case: dict[str, Any]) -> Raw:
    return Raw(0, value_bytes(case), case["arrival_ms"])


def stored_letters(stack: Stack) -> dict[int, str]:
    return dict(scenario.execute(stack, 'SELECT "offset", reason FROM fraud.dead_letters'))


@pytest.mark.bar(10, "poison corpus, each alone in a batch and all mixed", target=">= 60 payloads, 0 stops")
def test_no_message_stops_the_detector(new_stack: NewStack, bar: Bar) -> None:
    """Intent: a refused message costs nothing but its own row. Steps: one message a batch, through one run
    of the detector; then all payloads, shuffled among good events, and what was refused before once more.

    Observables: no run ends badly; every dead letter at its place with the reason of the golden case; every
    good event counted once; verify agrees.
    """
    stack = new_stack(
        {
            **CREATE_TIME,
            "FRAUDCTL_KAFKA__PARTITIONS": "1",
            "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0",
        }
    )
    stack.up()
    expected: dict[int, str] = {}
    goods = 0
    alone: list[Raw] = []
    for number, case in enumerate(ALONE):
        if number % GOOD_EVERY == 0:
            alone.append(good(goods))
            goods += 1
        expected[len(alone)] = case["expect"]
        alone.append(poison(case))
    send(stack, alone)
    stack.run(
        "detect", "--until-caught-up", env={"FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": "1"}, timeout=400
    )
    widths = scenario.execute(
        stack, "SELECT (offsets->'0'->>1)::int - (offsets->'0'->>0)::int FROM fraud.batch_ledger"
    )
    assert [width for (width,) in widths if width] == [1] * len(alone)
    assert stored_letters(stack) == expected
    assert scenario.counted(stack) == goods

    # Sent again now, what was ahead of its time in March is late; all else is wrong for the same reason.
    sent_again = stack.json("deadletters", "requeue", "--all", "--force")["sent"]
    assert len(sent_again) == len(expected)
    for copy in sent_again:
        reason = expected[copy["offset"]]
        expected[copy["to_offset"]] = "late" if reason == "future" else reason

    mixed = [(poison(case), str(case["expect"])) for case in POISON]
    mixed += [(good(goods + number), "") for number in range(200)]
    random.Random(SEED).shuffle(mixed)
    offsets = send(stack, [record for record, _ in mixed])
    expected |= {offset: reason for offset, (_, reason) in zip(offsets, mixed, strict=True) if reason}
    stack.run("detect", "--until-caught-up", timeout=300)
    assert stored_letters(stack) == expected
    verified = stack.json("verify-idempotency")
    assert verified["verdict"] == "ok"
    assert verified["fates"]["counted"] == scenario.counted(stack) == goods + 200
    bar(
        f"{len(ALONE)} alone, {len(POISON)} mixed: 0 stops, {len(expected)} dead letters exact,"
        f" {goods + 200} good events counted"
    )
