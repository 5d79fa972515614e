"""The account of deliveries, with a client that answers as the test says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from fraudctl.broker.producer import Deliveries, RecordProducer
from fraudctl.config.load import load

SETTINGS = load(profile="local").settings
Report = Callable[[KafkaError | None, object], None]


@dataclass
class FakeClient:
    """Keeps up to `room` records; waiting for it reports the oldest `per_poll` as `verdict` says."""

    config: dict[str, Any] = field(default_factory=dict)
    room: int = 1000
    per_poll: int = 1000
    verdict: Callable[[bytes], KafkaError | None] = lambda value: None
    refuse: KafkaError | None = None
    accepted: list[tuple[str, bytes, bytes, int]] = field(default_factory=list)
    attempts: int = 0
    flushes: int = 0
    stuck: bool = False
    waiting: list[tuple[bytes, Report]] = field(default_factory=list)

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: Report, timestamp: int) -> None:
        self.attempts += 1
        if self.refuse:
            raise KafkaException(self.refuse)
        if len(self.waiting) >= self.room:
            raise BufferError("queue full")
        self.accepted.append((topic, key, value, timestamp))
        self.waiting.append((value, on_delivery))

    def poll(self, seconds: float) -> int:
        # Only a poll that is willing to wait makes the fake broker work.
        if seconds > 0:
            self._report(self.per_poll)
        return 0

    def flush(self, seconds: float) -> int:
        self.flushes += 1
        if not self.stuck:
            self._report(self.per_poll)
        return len(self.waiting)

    def purge(self) -> None:
        self.stuck = False
        self.verdict = lambda value: KafkaError(KafkaError._PURGE_QUEUE)

    def _report(self, count: int) -> None:
        done, self.waiting = self.waiting[:count], self.waiting[count:]
        for value, report in done:
            report(self.verdict(value), None)


def producer(client: FakeClient, **changes: object) -> RecordProducer:
    def make(config: dict[str, Any]) -> Any:
        client.config = config
        return client

    return RecordProducer(
        "localhost:1", SETTINGS.kafka, SETTINGS.producer.model_copy(update=changes), make_client=make
    )


def test_a_full_queue_sends_the_same_record_again() -> None:
    client = FakeClient(room=3, per_poll=1)
    with producer(client) as sending:
        for number in range(50):
            sending.send(b"card-%d" % number, b"value-%d" % number, number)
    assert client.accepted == [
        (SETTINGS.kafka.topic, b"card-%d" % number, b"value-%d" % number, number) for number in range(50)
    ]
    assert client.attempts > 50
    assert sending.deliveries == Deliveries(sent=50, acknowledged=50, failed=0, errors={})


def test_nothing_counts_as_acknowledged_before_its_report() -> None:
    client = FakeClient()
    sending = producer(client)
    sending.send(b"k", b"v")
    assert sending.deliveries == Deliveries(sent=1, acknowledged=0, failed=0, errors={})
    assert sending.deliveries.queued == 1
    assert sending.settle().queued == 0


def test_failures_are_counted_by_their_reason() -> None:
    def verdict(value: bytes) -> KafkaError | None:
        number = int(value)
        if number % 5 == 0:
            return KafkaError(KafkaError._MSG_TIMED_OUT)
        return KafkaError(KafkaError.NOT_ENOUGH_REPLICAS) if number % 7 == 0 else None

    client = FakeClient(verdict=verdict)
    with producer(client) as sending:
        for number in range(70):
            sending.send(b"k", b"%d" % number)
    account = sending.deliveries
    assert (account.sent, account.acknowledged, account.failed) == (70, 48, 22)
    assert {reason.split(":")[0]: count for reason, count in account.errors.items()} == {
        "_MSG_TIMED_OUT": 14,
        "NOT_ENOUGH_REPLICAS": 8,
    }


def test_a_record_that_cannot_be_handed_over_is_a_failure_and_no_exception() -> None:
    client = FakeClient(refuse=KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    with producer(client) as sending:
        sending.send(b"k", b"v")
        sending.send(b"k", b"v")
    account = sending.deliveries
    assert (account.sent, account.acknowledged, account.failed, account.queued) == (2, 0, 2, 0)
    assert list(account.errors.values()) == [2]


def test_settling_waits_for_every_report() -> None:
    client = FakeClient(per_poll=4)
    sending = producer(client)
    for number in range(10):
        sending.send(b"k", b"%d" % number)
    seen: list[int] = []
    account = sending.settle(meanwhile=lambda: seen.append(sending.deliveries.queued))
    assert seen == [6, 2]
    assert account.acknowledged == 10


def test_what_never_gets_a_report_is_given_up_and_counted_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fraudctl.broker.producer.REPORT_SECONDS", 0.0)
    client = FakeClient(stuck=True)
    sending = producer(client, delivery_timeout_seconds=0.0)
    sending.send(b"k", b"v")
    account = sending.settle()
    assert (account.sent, account.acknowledged, account.failed) == (1, 0, 1)
    assert next(iter(account.errors)).startswith("_PURGE_QUEUE")


def test_an_exception_gives_up_at_once_but_the_account_is_complete() -> None:
    client = FakeClient(stuck=True)
    sending = producer(client)
    with pytest.raises(KeyboardInterrupt), sending:
        sending.send(b"k", b"v")
        raise KeyboardInterrupt
    assert sending.deliveries.failed == 1
    assert client.flushes == 1


def test_a_fatal_error_of_the_client_is_remembered() -> None:
    client = FakeClient()
    sending = producer(client)
    client.config["error_cb"](KafkaError(KafkaError._TRANSPORT, "connection refused"))
    assert (sending.last_error, sending.broken) == ("connection refused", "")
    client.config["error_cb"](KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, "fenced", fatal=True))
    assert sending.broken == "fenced"


def test_records_are_written_once_and_by_all_replicas() -> None:
    client = FakeClient()
    producer(client, delivery_timeout_seconds=12.5)
    assert client.config["enable.idempotence"] is True
    assert client.config["acks"] == "all"
    assert client.config["delivery.timeout.ms"] == 12_500
    assert client.config["logger"].name == "fraudctl.broker.librdkafka"
