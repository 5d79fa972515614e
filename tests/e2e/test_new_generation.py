"""A new generation: what has landed is kept aside, and the detector begins anew with what is there."""

import json

import pytest

from tests.conftest import NewStack
from tests.e2e.test_data_loss import delete_records
from tests.support import scenario
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow]

ROWS = "SELECT window_start, window_end, category, count, amount_minor FROM {}.fraud_metrics ORDER BY 1, 2, 3"

QUERIES = "SELECT DISTINCT query_id FROM {}.batch_ledger"


def rows(stack: Stack, schema: str) -> list[object]:
    return scenario.execute(stack, ROWS.format(schema))


def test_a_lost_log_and_a_lost_checkpoint_have_a_way_on(new_stack: NewStack) -> None:
    """Steps: land records, lose them and the checkpoint; detect and rebuild are refused and name the way on;
    take it. Observables: the rows of before, in their own schema; the new ones, verified.
    """
    stack = new_stack()
    stack.up()
    stack.run("produce", "--rate", "1000", "--count", "600", "--seed", "1")
    stack.run("detect", "--until-caught-up")
    before = rows(stack, "fraud")
    delete_records(stack)
    stack.run("produce", "--rate", "1000", "--count", "300", "--seed", "2")
    checkpoint = stack.root / "data" / "checkpoint"
    checkpoint.rename(checkpoint.with_name("lost"))
    for refused in (("detect",), ("replay", "--rebuild", "--apply", "--yes")):
        done = stack.run(*refused, check=False)
        assert done.returncode == 3
        assert "--rebuild" in done.stderr or "--new-generation" in done.stderr
    assert "fraudctl detect --new-generation" in done.stderr

    stack.run("detect", "--new-generation", "--until-caught-up")
    verified = stack.json("verify-idempotency")
    assert (verified["verdict"], verified["events_read"]) == ("ok", 300)
    # Another query's batches from the first on, however many there were, and none of the query before.
    assert scenario.execute(stack, QUERIES.format("fraud")) != scenario.execute(
        stack, QUERIES.format("fraud_generation_1")
    )
    assert scenario.execute(stack, "SELECT min(batch_id) FROM fraud.batch_ledger") == [(0,)]
    assert rows(stack, "fraud_generation_1") == before != []
    assert scenario.counted(stack) == 300

    stack.run("detect", "--detach")
    running = stack.run("detect", "--new-generation", check=False)
    assert running.returncode == 3
    assert "fraudctl detect --stop" in running.stderr
    stack.run("detect", "--stop")

    # Where nothing was lost nothing changes but the generation: the same rows come again.
    present = rows(stack, "fraud")
    stack.run("detect", "--new-generation", "--until-caught-up")
    assert rows(stack, "fraud") == rows(stack, "fraud_generation_2") == present
    assert (checkpoint.with_name("checkpoint.generation-1") / "metadata").is_file()
    assert json.loads(stack.run("verify-idempotency", "--json").stdout)["verdict"] == "ok"


def test_conflicting_flags_are_refused(new_stack: NewStack) -> None:
    for other in ("--takeover", "--dry-run", "--stop"):
        done = new_stack().run("detect", "--new-generation", other, check=False)
        assert done.returncode == 2
        assert "--new-generation" in done.stderr
