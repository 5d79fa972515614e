"""Two detectors and one database: one writes, the other is refused or fenced."""

import time

import pytest

from tests.conftest import NewStack
from tests.support import faults, scenario
from tests.support.bars import Bar
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services]


def caught_up(stack: Stack, records: int) -> None:
    scenario.wait_for(
        "all records to land",
        lambda: sum(sum(line["fates"].values()) for line in scenario.progress(stack)) >= records,
        seconds=300,
    )


@pytest.mark.slow
def test_a_second_machine_is_refused_then_takes_over(new_stack: NewStack) -> None:
    """Observables: the refusal names the holder; a checkpoint that does not belong fences nobody; the first
    one, idle by then, ends with exit 7 by itself; its checkpoint, an older copy now, is refused.
    """
    stack = new_stack()
    stack.up()
    stack.run("produce", "--rate", "500", "--count", "500", "--seed", "1")
    first = scenario.start(stack, "detect")
    caught_up(stack, 500)
    second = faults.elsewhere(new_stack, stack)
    refused = second.run("detect", check=False)
    assert refused.returncode == 3
    assert "another detector writes to this database" in refused.stderr
    assert str(faults.checkpoint(stack)) in refused.stderr
    without = second.run("detect", "--takeover", check=False)
    assert without.returncode == 3
    assert "checkpoint is gone" in without.stderr
    assert scenario.detector_pid(stack) is not None

    stack.run("produce", "--rate", "500", "--count", "500", "--seed", "2")
    caught_up(stack, 1000)
    faults.hand_over(stack, second)
    taken = scenario.start(second, "detect", "--takeover", "--until-caught-up")
    began = time.monotonic()
    first.finish(seconds=60, codes=(7,))
    print(f"the first detector ended {time.monotonic() - began:.1f} s after the second was started")
    assert "taken over" in first.stderr
    taken.finish()
    stack.run("produce", "--rate", "500", "--count", "500", "--seed", "3")
    second.run("detect", "--until-caught-up")
    older = stack.run("detect", check=False)
    assert older.returncode == 3
    assert "checkpoint is behind the database" in older.stderr
    assert "fraudctl replay --rebuild" in older.stderr
    verified = stack.json("verify-idempotency")
    assert (verified["verdict"], verified["events_read"]) == ("ok", 1500)


def test_takeover_in_the_same_stack(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    first = scenario.start(stack, "detect")
    scenario.wait_for("the detector", lambda: scenario.detector_pid(stack))
    stack.run("produce", "--rate", "500", "--count", "500", "--seed", "1")
    caught_up(stack, 500)
    stack.run("detect", "--takeover", "--until-caught-up")
    first.finish(codes=(7,))
    assert "taken over" in first.stderr
    assert stack.json("verify-idempotency")["verdict"] == "ok"


def two_starts(stack: Stack, other: Stack, seed: int) -> None:
    """Both begin in the same second, each with a checkpoint that is up to date; exactly one writes."""
    stack.run("produce", "--rate", "1000", "--count", "300", "--seed", str(seed))
    before = newest_epoch(stack)
    both = [scenario.start(each, "detect", "--until-caught-up") for each in (stack, other)]
    for each in both:
        each.finish(codes=(0, 3))
    codes = sorted(each.process.returncode for each in both)
    assert codes == [0, 3], [each.stderr for each in both]
    refused = next(each for each in both if each.process.returncode == 3)
    assert "another detector" in refused.stderr or "runs already" in refused.stderr
    writers = scenario.execute(
        stack, "SELECT count(DISTINCT epoch) FROM fraud.batch_ledger WHERE epoch > %s", before
    )
    assert writers == [(1,)]
    verified = stack.json("verify-idempotency")
    assert verified["verdict"] == "ok"
    if other is not stack:
        winner, loser = (stack, other) if both[0].process.returncode == 0 else (other, stack)
        faults.hand_over(winner, loser)


def newest_epoch(stack: Stack) -> int:
    return int(scenario.execute(stack, "SELECT coalesce(max(epoch), 0) FROM fraud.batch_ledger")[0][0])


@pytest.mark.slow
def test_two_starts_at_once_in_one_stack(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    two_starts(stack, stack, 1)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.bar(17, "two starts in the same second", target="exactly one writes, the other exits 3")
def test_two_starts_at_once_on_two_machines(new_stack: NewStack, bar: Bar) -> None:
    stack = new_stack()
    stack.up()
    stack.run("produce", "--rate", "1000", "--count", "300", "--seed", "99")
    stack.run("detect", "--until-caught-up")
    other = faults.elsewhere(new_stack, stack)
    faults.hand_over(stack, other)
    rounds = 20 if faults.WHOLE_MATRIX else 10
    for number in range(rounds):
        two_starts(stack, other, number)
    bar(f"one writer: {rounds}/{rounds}")
