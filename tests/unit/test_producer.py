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
    """Keeps up to `room` records; waiting for it finishes the oldest `per_poll` as `verdict` says.

    As Kafka's client does, it reports only failures if it is told so, and counts events of its own.
    """

    config: dict[str, Any] = field(default_factory=dict)
    room: int = 1000
    per_poll: int = 1000
    verdict: Callable[[bytes], KafkaError | None] = lambda value: None
    refuse: KafkaError | None = None
    refused: bytes = b""
    accepted: list[tuple[str, bytes, bytes, int]] = field(default_factory=list)
    attempts: int = 0
    flushes: int = 0
    stuck: bool = False
    own_events: int = 0
    waiting: list[bytes] = field(default_factory=list)

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        partition: int,
        _1: None,
        _2: None,
        timestamp: int,
        _headers: object,
    ) -> None:
        assert partition == -1
        self.attempts += 1
        if self.refuse and value.startswith(self.refused):
            raise KafkaException(self.refuse)
        if len(self.waiting) >= self.room:
            raise BufferError("queue full")
        self.accepted.append((topic, key, value, timestamp))
        self.waiting.append(value)

    def __len__(self) -> int:
        return len(self.waiting) + self.own_events

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
        report: Report = self.config["on_delivery"]
        for value in done:
            error = self.verdict(value)
            if error or not self.config["delivery.report.only.error"]:
                report(error, None)


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


def test_batches_wait_for_room_and_lose_and_double_nothing() -> None:
    client = FakeClient(room=7, per_poll=3)
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1

    with producer(client) as sending:
        for begin in range(0, 60, 20):
            numbers = range(begin, begin + 20)
            sending.send_batch(
                [b"card-%d" % n for n in numbers], [b"value-%d" % n for n in numbers], meanwhile=look
            )
    assert client.accepted == [
        (SETTINGS.kafka.topic, b"card-%d" % number, b"value-%d" % number, 0) for number in range(60)
    ]
    assert looks > 0
    assert sending.deliveries == Deliveries(sent=60, acknowledged=60, failed=0, errors={})


def test_a_refused_record_of_a_batch_is_a_failure_and_the_others_go() -> None:
    client = FakeClient(
        room=2, per_poll=1, refuse=KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), refused=b"large"
    )
    with producer(client) as sending:
        sending.send_batch([b"k"] * 5, [b"large", b"a", b"b", b"large", b"c"])
    assert [value for _, _, value, _ in client.accepted] == [b"a", b"b", b"c"]
    account = sending.deliveries
    assert (account.sent, account.acknowledged, account.failed) == (5, 3, 2)
    assert list(account.errors.values()) == [2]


def test_the_clients_own_events_never_count_as_records() -> None:
    client = FakeClient(per_poll=3, own_events=2)
    sending = producer(client)
    sending.send_batch([b"k"] * 10, [b"v"] * 10)
    assert sending.deliveries.acknowledged == 0
    client.poll(1)
    assert sending.deliveries.acknowledged == 1  # three, less the two that may be events
    client.own_events = 9
    assert sending.deliveries.acknowledged == 1  # what was known stays known
    client.own_events = 0
    assert sending.settle() == Deliveries(sent=10, acknowledged=10, failed=0, errors={})
    client.own_events = 3
    assert sending.deliveries.acknowledged == 10


def test_without_a_broker_every_record_fails_and_none_is_acknowledged() -> None:
    sending = RecordProducer(
        "127.0.0.1:1",
        SETTINGS.kafka,
        SETTINGS.producer.model_copy(update={"delivery_timeout_seconds": 0.2, "linger_ms": 10}),
    )
    large = b"x" * (SETTINGS.kafka.max_message_bytes + 1)
    with sending:
        sending.send_batch([b"k"] * 100, [large if number == 50 else b"v" for number in range(100)])
        sending.send(b"k", large)
        sending.send(b"k", b"v")
        assert sending.deliveries.acknowledged == 0
    account = sending.deliveries
    assert (account.sent, account.acknowledged, account.failed, account.queued) == (102, 0, 102, 0)
    by_code = {reason.split(":")[0]: 0 for reason in account.errors}
    for reason, count in account.errors.items():
        by_code[reason.split(":")[0]] += count
    assert by_code == {"_MSG_TIMED_OUT": 100, "MSG_SIZE_TOO_LARGE": 2}


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
