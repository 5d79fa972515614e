"""Ctrl-C at moments when there is no batch to finish, and Ctrl-C again."""

import json

import psutil
import pytest

from tests.conftest import NewStack
from tests.support import scenario
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow]


@pytest.fixture
def stack(new_stack: NewStack) -> Stack:
    stack = new_stack()
    stack.up()
    stack.run("produce", "--rate", "500", "--count", "500", "--seed", "1")
    return stack


def query_started(stack: Stack) -> bool:
    file = stack.root / "run" / "detector.progress.jsonl"
    return file.exists() and "query_id" in file.read_text(encoding="utf-8")


def no_detector(stack: Stack) -> bool:
    return not [line for line in scenario.leftovers(stack.home) if "spark" in line.lower()]


def test_a_stop_while_spark_starts_does_not_wait_for_it(stack: Stack) -> None:
    """Observables: exit 0 before any query has started, no process left, the next run needs no remedy."""
    for arguments in (("detect",), ("detect", "--json")):
        detect = scenario.start(stack, *arguments)
        scenario.wait_for("spark-submit", lambda: scenario.detector_pid(stack))
        assert not query_started(stack)
        detect.interrupt()
        out = detect.finish(seconds=60)
        if "--json" in arguments:
            assert (json.loads(out)["batches"], json.loads(out)["query_id"]) == (0, "")
        else:
            assert "stopped before the query had started: no batch was begun" in out
        assert not query_started(stack)
        assert no_detector(stack)
    assert scenario.execute(stack, "SELECT count(*) FROM fraud.batch_ledger") == [(0,)]
    stack.run("detect", "--until-caught-up")
    assert stack.json("verify-idempotency")["verdict"] == "ok"


def test_a_second_interrupt_kills_and_says_so(stack: Stack) -> None:
    """The detector is halted, so its batch cannot be finished."""
    detect = scenario.start(stack, "detect")
    scenario.wait_for("the query", lambda: query_started(stack))
    pid = scenario.detector_pid(stack)
    assert pid is not None
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        process.suspend()  # whatever it is at, it will not end by itself
    detect.interrupt()
    scenario.wait_for("the stop request", (stack.root / "run" / "detector.stop").exists)
    detect.interrupt()
    detect.finish(seconds=60, codes=(130,))
    assert "interrupted: the detector was killed; nothing is lost" in detect.stderr
    assert no_detector(stack)
    stack.run("detect", "--until-caught-up")
    verified = stack.json("verify-idempotency")
    assert (verified["verdict"], verified["events_read"], verified["not_landed"]) == ("ok", 500, 0)
