"""The broker dies while it is written to or read from: losses are counted, waits end, and both are named."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fraudctl.broker.log import read_ranges
from fraudctl.broker.topics import end_offsets
from fraudctl.config.load import load
from fraudctl.errors import UnreachableError
from tests.conftest import NewStack
from tests.stacks import Stack

pytestmark = pytest.mark.services
SECONDS = 20.0


@pytest.fixture
def mortal(new_stack: NewStack) -> Stack:
    """A running stack that the test may kill parts of."""
    made = new_stack()
    made.up()
    return made


@contextmanager
def producing(stack: Stack, *, delivery_timeout_seconds: int) -> Iterator[subprocess.Popen[str]]:
    """`fraudctl produce` that has already delivered something."""
    process = subprocess.Popen(
        [*stack.command, "produce", "--rate", "500", "--json"],
        env={**stack.env, "FRAUDCTL_PRODUCER__DELIVERY_TIMEOUT_SECONDS": str(delivery_timeout_seconds)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        assert "acknowledged" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def kill_broker(stack: Stack) -> None:
    os.kill(stack.json("status")["services"]["kafka"]["pid"], signal.SIGKILL)


def test_what_a_dead_broker_did_not_take_is_counted(mortal: Stack) -> None:
    with producing(mortal, delivery_timeout_seconds=5) as process:
        kill_broker(mortal)
        assert process.stderr
        # Wait until failures are reported, then ask for the totals.
        assert any("errors 0" not in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    result = json.loads(out)
    assert process.returncode == 6, err
    assert result["failed"] > 0
    assert result["sent"] == result["acknowledged"] + result["failed"]
    assert sum(result["errors"].values()) == result["failed"]
    assert f"error: {result['failed']:,} of {result['sent']:,} events were not delivered" in err
    assert "Message timed out" in err
    assert "Traceback" not in err


def test_a_broker_that_comes_back_gets_every_event_exactly_once(mortal: Stack) -> None:
    with producing(mortal, delivery_timeout_seconds=120) as process:
        kill_broker(mortal)
        mortal.up()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=150)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert result["sent"] == result["acknowledged"]
    ends = end_offsets(mortal.kafka, load().settings.kafka.topic, timeout_seconds=SECONDS)
    assert sum(high - low for low, high in ends.values()) == result["sent"]


@contextmanager
def silenced_broker(stack: Stack) -> Iterator[None]:
    """The broker's process is halted: connections stay open, and nothing answers."""
    broker = stack.json("status")["services"]["kafka"]["pid"]
    os.kill(broker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker, signal.SIGCONT)


def test_a_silent_broker_holds_nobody_for_ever(mortal: Stack) -> None:
    servers, topic = mortal.kafka, load().settings.kafka.topic
    mortal.json("produce", "--rate", "5000", "--count", "10000")
    ends = end_offsets(servers, topic, timeout_seconds=SECONDS)
    reading = read_ranges(servers, topic, ends, timeout_seconds=1.0)
    with producing(mortal, delivery_timeout_seconds=120) as process, silenced_broker(mortal):
        with pytest.raises(UnreachableError, match="has sent nothing for 1 s"):
            list(reading)
        # The first signal waits for deliveries that cannot come; the second one does not.
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "Traceback" not in err
