"""The broker dies while it is written to or read from: losses are counted, waits end, and both are named."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer

from fraudctl.broker.log import read_ranges
from fraudctl.broker.producer import RecordProducer
from fraudctl.broker.topics import end_offsets
from fraudctl.clock import Deadline
from fraudctl.config.load import load
from fraudctl.errors import UnreachableError
from tests.conftest import NewStack
from tests.support.stacks import Stack

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


class ReportingClient(Producer):
    """The real client, which also reports every delivery: an account of its own, to compare with."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.delivered: list[bytes] = []
        self.undelivered = 0

        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self.delivered.append(message.value() or b"")
            else:
                self.undelivered += 1
                config["on_delivery"](error, message)

        super().__init__(config | {"on_delivery": report, "delivery.report.only.error": False})


def test_what_is_said_to_be_acknowledged_is_never_more_than_the_broker_took(mortal: Stack) -> None:
    """At full speed: kill the broker, stay away for longer than records wait, start it, kill it again."""
    servers, settings = mortal.kafka, load().settings
    clients: list[ReportingClient] = []

    def make_client(config: dict[str, Any]) -> ReportingClient:
        clients.append(ReportingClient(config))
        return clients[0]

    impatient = settings.producer.model_copy(update={"delivery_timeout_seconds": 3.0})
    producer = RecordProducer(servers, settings.kafka, impatient, make_client=make_client)
    large = b"x" * (settings.kafka.max_message_bytes + 1)
    sent = 0

    def compare() -> None:
        account = producer.deliveries
        assert account.acknowledged <= len(clients[0].delivered)
        assert account.sent == sent == account.acknowledged + account.failed + account.queued

    def send(batches: int) -> None:
        nonlocal sent
        for number in range(batches):
            sent += 1000
            values = [b"%d" % (sent + place) for place in range(1000)]
            if number % 10 == 0:
                values[500] = large
            producer.send_batch(
                [b"card-%d" % (place % 70) for place in range(1000)], values, meanwhile=compare
            )
            compare()

    def wait_until_acknowledged(number: int) -> None:
        deadline = Deadline(SECONDS)
        while producer.deliveries.acknowledged < number:
            assert not deadline.expired
            producer.poll()
            compare()

    with producer:
        send(60)
        wait_until_acknowledged(59_000)  # however fast they were handed over
        kill_broker(mortal)
        send(250)  # more than the local queue holds, so that this waits until records have expired
        assert producer.deliveries.failed > 100_000
        mortal.up()
        send(60)
        wait_until_acknowledged(61_000)
        kill_broker(mortal)
        send(20)
    compare()
    account, client = producer.deliveries, clients[0]
    refused = sum(count for reason, count in account.errors.items() if "TOO_LARGE" in reason)
    assert refused == 39
    assert account.queued == 0
    assert account.acknowledged == len(client.delivered) > 60_000
    assert account.failed == client.undelivered + refused
    mortal.up()
    ends = end_offsets(servers, settings.kafka.topic, timeout_seconds=SECONDS)
    log = [
        record.value for record in read_ranges(servers, settings.kafka.topic, ends, timeout_seconds=SECONDS)
    ]
    assert len(set(log)) == len(log)
    assert set(client.delivered) <= set(log)


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
