"""Spark is made to run finished batches again: nothing may change, and the ledger says that it happened."""

import pytest

from tests.conftest import NewStack
from tests.support import scenario, simulated_log
from tests.support.bars import Bar

pytestmark = [pytest.mark.services]

DUMP = (
    "SELECT md5(string_agg(row::text, E'\\n' ORDER BY row::text)) FROM"
    " (SELECT window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor,"
    " updated_at FROM fraud.fraud_metrics) AS row"
)


@pytest.mark.parametrize(
    ("rounds", "batches"),
    [
        (1, 3),
        pytest.param(
            20,
            2,
            marks=[
                pytest.mark.slow,
                pytest.mark.timeout(1_800),
                pytest.mark.bar(
                    6, "forced replay changes nothing", target="20 of 20 replays with the same hash"
                ),
            ],
        ),
    ],
)
def test_batches_that_run_again_change_nothing(
    new_stack: NewStack, bar: Bar, rounds: int, batches: int
) -> None:
    """Steps: land a log full of faults in small batches; run the last ones again while newer records wait.

    Observables: the command's own hash, a hash of this test's own with even the time of writing in it, and
    the ledger's count of replays, which goes up for exactly these batches.
    """
    stack = simulated_log.new(new_stack)
    simulated_log.fill(stack, hours=4 if rounds > 1 else 2, seed=6)
    stack.run("detect", "--until-caught-up")
    newest = scenario.execute(stack, "SELECT max(batch_id) FROM fraud.batch_ledger")[0][0]
    assert newest >= batches
    stack.run("produce", "--rate", "100", "--count", "50", "--seed", "1")  # not to be read by a replay
    before = scenario.execute(stack, DUMP)
    same = 0
    for number in range(1, rounds + 1):
        result = stack.json("replay", "--last-batches", str(batches))
        assert result["hash_before"] == result["hash_after"]
        assert [batch["batch_id"] for batch in result["batches"]] == [
            *range(newest - batches + 1, newest + 1)
        ]
        assert {batch["replays_after"] for batch in result["batches"]} == {number}
        same += 1
    assert scenario.execute(stack, DUMP) == before
    replays = dict(scenario.execute(stack, "SELECT batch_id, replays FROM fraud.batch_ledger"))
    assert {batch for batch, count in replays.items() if count} == {*range(newest - batches + 1, newest + 1)}
    bar(f"{same} of {rounds} replays of {batches} batches with the same hash")

    refused = stack.run("replay", "--last-batches", "1000", check=False)
    assert refused.returncode == 3
    assert "finished batches" in refused.stderr
    stack.run("detect", "--until-caught-up")  # the checkpoint goes on where it was
    assert stack.json("verify-idempotency")["verdict"] == "ok"


def test_a_running_detector_is_not_disturbed(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    stack.run("detect", "--detach")
    refused = stack.run("replay", "--last-batches", "1", check=False)
    assert refused.returncode == 3
    assert "fraudctl detect --stop" in refused.stderr
    assert scenario.detector_pid(stack) is not None
