"""kill -9 at every named place of a micro-batch, under load: nothing is lost, nothing counts twice."""

import json
import random
import time

import pytest

from fraudctl.failpoints import FAILPOINTS
from tests.conftest import NewStack
from tests.support import faults, scenario
from tests.support.bars import Bar

pytestmark = [pytest.mark.services]

SEED = 20_261_124
BACK_SECONDS = 30.0


def killed_at(new_stack: NewStack, places: list[str]) -> str:
    """Start, die at the place in one of the first batches, start again; load all the while. The figure."""
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    stack = new_stack({"FRAUDCTL_SPARK__TRIGGER_SECONDS": "0"})
    stack.up()
    load = scenario.start(stack, "produce", "--rate", "300", "--seed", str(SEED), "--json")
    database = stack.postgres
    back = []
    for place in places:
        armed = f"{place}:{draw.randint(2, 4)}"
        began = time.monotonic()
        before = faults.landings(database)
        detect = scenario.start(stack, "detect", env={"FRAUDCTL_FAILPOINT": armed})
        scenario.wait_for(
            f"a batch before {armed}", lambda known=before: faults.landings(database) > known, seconds=180
        )
        back.append(time.monotonic() - began)
        detect.finish(codes=(4,))
        assert "killed" in detect.stderr, armed
    load.interrupt()
    produced = json.loads(load.finish())
    stack.run("detect", "--until-caught-up")
    verified = stack.json("verify-idempotency")
    assert verified["verdict"] == "ok"
    assert verified["events_read"] == produced["acknowledged"] == produced["sent"]
    return f"{len(places)}/{len(places)} diff 0; back to processing {faults.spread(back, BACK_SECONDS)}"


# Where the state of affairs differs: the other names lie beside one of these without a statement between.
PLACES = (
    "batch_consumed",
    "before_staging",
    "before_merge",
    "after_merge",
    "before_commit",
    "after_commit",
)


@pytest.mark.slow
@pytest.mark.timeout(14_400 if faults.WHOLE_MATRIX else 2_400)
@pytest.mark.bar(3, "kill -9 at every failpoint", target="diff 0 every time; back to processing <= 30 s p95")
def test_killed_at_every_failpoint(new_stack: NewStack, bar: Bar) -> None:
    places = list(FAILPOINTS) * 20 if faults.WHOLE_MATRIX else list(PLACES) * 5
    bar(killed_at(new_stack, places))
