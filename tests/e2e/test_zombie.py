"""A detector that stood still while a successor went on: it wakes up, changes nothing, and ends as fenced."""

import pytest

from tests.conftest import NewStack
from tests.support import faults, reader, scenario
from tests.support.bars import Bar

pytestmark = [pytest.mark.services]

# Short, so that the database soon ends the transaction that a zombie stands still in.
LEASE = "3"


def woken_zombies(new_stack: NewStack, failpoints: list[str]) -> str:
    """Intent: nothing of a zombie gets through. Steps, each time: halt it in its second batch; a second
    machine with the same checkpoint takes over and finishes; wake it. Observables: not one row touched,
    exit 7; at the end every row is exact. The figure of the reader that looked on.
    """
    stack = new_stack(
        {
            "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0",
            "FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": "300",
            "FRAUDCTL_LANDING__LEASE_SECONDS": LEASE,
        }
    )
    stack.up()
    successor = faults.elsewhere(new_stack, stack, LANDING__LEASE_SECONDS=LEASE)
    sent = 0
    with reader.Reader(stack.postgres) as watching:
        for number, failpoint in enumerate(failpoints):
            stack.run("produce", "--rate", "1000", "--count", "900", "--seed", str(number))
            zombie = scenario.start(stack, "detect", env={"FRAUDCTL_FAILPOINT": f"{failpoint}:2=pause"})
            pid = faults.wait_until_halted(stack)
            faults.hand_over(stack, successor)
            stack.run("produce", "--rate", "1000", "--count", "600", "--seed", str(1000 + number))
            sent += 1500
            successor.run("detect", "--takeover", "--until-caught-up")
            before = faults.fingerprint(stack)
            faults.wake(pid)
            zombie.finish(seconds=60, codes=(7,))
            assert "taken over" in zombie.stderr
            assert "Traceback" not in zombie.stderr
            assert faults.fingerprint(stack) == before
            faults.hand_over(successor, stack)
    verified = stack.json("verify-idempotency")
    assert (verified["verdict"], verified["events_read"]) == ("ok", sent)
    return watching.figure()


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.bar(
    5, "zombie: SIGSTOP, a successor finishes, SIGCONT", target="0 rows changed, exit 7, every time"
)
@pytest.mark.bar(9, "concurrent reader: zombies", target=reader.TARGET)
def test_zombies_at_every_place(new_stack: NewStack, bar: Bar) -> None:
    count = 30 if faults.WHOLE_MATRIX else 10
    places = ["before_merge", "batch_consumed", "before_commit"]
    seen = woken_zombies(new_stack, [places[number % 3] for number in range(count)])
    bar(f"0 rows changed, exit 7: {count}/{count}")
    bar(seen, number=9)
