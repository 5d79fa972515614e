"""Bar 20: kill -9 of the broker while records are being produced and read."""

import json
import os
import random
import signal

import pytest

from fraudctl.broker.topics import end_offsets
from fraudctl.clock import Deadline
from tests.conftest import NewStack
from tests.support import scenario
from tests.support.bars import Bar
from tests.support.raw_log import TOPIC

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1200)]

SEED = 20_261_124
KILLS = 3
# Longer than one question to the broker may take (timeouts.connect_seconds), shorter than Spark's patience.
HALT_SECONDS = 9.0


@pytest.mark.bar(20, "broker kill -9 x 3 while producing and reading", target="acknowledged = log, diff 0")
def test_a_killed_broker_loses_and_doubles_nothing(new_stack: NewStack, bar: Bar) -> None:
    """Steps: produce and detect; kill the broker's process group at moments drawn from a seed, start it
    again, three times; catch up; verify.

    Observables: every acknowledged record is in the log once; every one of them has landed.
    """
    moments = random.Random(SEED)
    # Long enough to outlive each outage: what is sent then waits, and is acknowledged afterwards.
    stack = new_stack({"FRAUDCTL_PRODUCER__DELIVERY_TIMEOUT_SECONDS": "120"})
    stack.up()
    load = scenario.start(stack, "produce", "--rate", "200", "--seed", str(SEED), "--json")
    detect = scenario.start(stack, "detect")
    scenario.wait_for("a first batch with records", lambda: scenario.landed_records(stack) > 0)
    for _ in range(KILLS):
        pause = Deadline(moments.uniform(0.5, 3.0))
        scenario.wait_for("the moment", lambda pause=pause: pause.expired)
        scenario.kill_recorded(stack.root / "run" / "kafka.process.json")
        stack.up()
    pause = Deadline(2.0)
    scenario.wait_for("some more records", lambda: pause.expired)
    load.interrupt()
    produced = json.loads(load.finish())
    # A detector that gave up during an outage says so and is started again.
    detect.interrupt()
    detect.finish(codes=(0, 4))
    survived = detect.process.returncode == 0
    stack.run("detect", "--until-caught-up")

    held = end_offsets(stack.kafka, TOPIC, timeout_seconds=20.0)
    in_log = sum(end - first for first, end in held.values())
    assert produced["failed"] == 0
    assert produced["sent"] == produced["acknowledged"] == in_log
    verified = stack.json("verify-idempotency")
    assert verified["verdict"] == "ok"
    assert verified["events_read"] == in_log
    assert verified["fates"]["duplicate"] == 0
    bar(
        f"{in_log:,} acknowledged = in the log, diff 0;"
        f" the detector {'lived on' if survived else 'ended with 4 and was started again'}"
    )


def test_a_broker_that_halts_does_not_end_a_run_that_is_to_catch_up(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    load = scenario.start(stack, "produce", "--rate", "200", "--seed", str(SEED))
    detect = scenario.start(stack, "detect", "--until-caught-up")
    scenario.wait_for("a first batch with records", lambda: scenario.landed_records(stack) > 0)
    pid = json.loads((stack.root / "run" / "kafka.process.json").read_text(encoding="utf-8"))["pid"]
    os.killpg(pid, signal.SIGSTOP)
    try:
        halt = Deadline(HALT_SECONDS)
        scenario.wait_for("the end of the halt", lambda: halt.expired)
    finally:
        os.killpg(pid, signal.SIGCONT)
    load.interrupt()
    load.finish()
    detect.finish()
    assert stack.json("verify-idempotency")["verdict"] == "ok"
