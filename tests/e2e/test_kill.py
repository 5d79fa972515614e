"""kill -9 of the detector's whole process group at random moments, under load."""

import json
import random

import pytest

from fraudctl.clock import Deadline
from tests.conftest import NewStack
from tests.support import faults, reader, scenario
from tests.support.bars import Bar

pytestmark = pytest.mark.services

SEED = 20_261_124
BAR = [
    pytest.mark.slow,
    pytest.mark.timeout(7_200 if faults.WHOLE_MATRIX else 1_800),
    pytest.mark.bar(3, "kill -9 at random moments", target="diff 0, all that was sent has landed"),
    pytest.mark.bar(9, "concurrent reader: detector killed", target=reader.TARGET),
]


RANDOM_KILLS = 50 if faults.WHOLE_MATRIX else 20


@pytest.mark.parametrize("kills", [2, pytest.param(RANDOM_KILLS, marks=BAR)])
def test_killed_at_random_moments_the_numbers_stay_exact(new_stack: NewStack, kills: int, bar: Bar) -> None:
    """Intent: no kill loses or doubles anything. Steps: produce without pause; start, kill, start again.

    Every other kill falls somewhere into a batch's work, the rest into start-up or idle time; the moments
    are drawn from a seed. Observables: verify agrees with every row, all that was sent has landed.
    """
    print(f"seed {SEED}")
    moments = random.Random(SEED)
    stack = new_stack({"FRAUDCTL_SPARK__TRIGGER_SECONDS": "0"})
    stack.up()
    load = scenario.start(stack, "produce", "--rate", "500", "--seed", str(SEED), "--json")
    with reader.Reader(stack.postgres) as watching:
        for number in range(kills):
            detect = scenario.start(stack, "detect", "--json")
            # The driver is killed after its first batches, or on its way there.
            batches = moments.choice((0, 1, 2, 3))
            scenario.wait_for("the detector", lambda: scenario.detector_pid(stack))
            scenario.wait_for(
                f"{batches} batches in round {number}",
                lambda wanted=batches: len(scenario.progress(stack)) >= wanted or wanted == 0,
            )
            moment = Deadline(moments.uniform(0.0, 2.0))
            scenario.wait_for("the moment", lambda until=moment: until.expired)
            scenario.kill_detector(stack)
            detect.finish(codes=(4,))
            assert "killed" in detect.stderr
    load.interrupt()
    produced = json.loads(load.finish())
    caught_up = stack.json("detect", "--until-caught-up")
    verified = stack.json("verify-idempotency")
    assert verified["verdict"] == "ok"
    assert verified["events_read"] == produced["acknowledged"] == produced["sent"]
    assert sum(verified["fates"].values()) == produced["acknowledged"]
    assert caught_up["batches"] >= 1
    letters = scenario.execute(stack, "SELECT count(*) FROM fraud.dead_letters")[0][0]
    assert scenario.counted(stack) == produced["acknowledged"] - letters
    bar(f"{kills}/{kills} diff 0, {produced['acknowledged']:,} of {produced['sent']:,} landed")
    bar(watching.figure(), number=9)
