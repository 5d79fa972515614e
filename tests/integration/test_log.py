"""Exact ranges of a real log: every record of them, nothing else, and a refusal when some are gone."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from fraudctl.broker.log import LogRecord, next_arrivals, read_ranges
from fraudctl.broker.topics import end_offsets, ensure_topic
from fraudctl.clock import Deadline
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.load import load
from fraudctl.errors import RefusedError

pytestmark = pytest.mark.services
SECONDS = 20.0
COUNTS = {0: 25_000, 1: 3, 2: 0}
START_MS = 1_790_000_000_000


@pytest.fixture(scope="module")
def servers(endpoints: Endpoints) -> str:
    return endpoints.bootstrap_servers


@pytest.fixture(scope="module")
def topic(servers: str) -> Iterator[str]:
    """Three partitions with COUNTS records; a value is its own offset, the last of partition 1 is empty."""
    yield from make_topic(servers)


@pytest.fixture
def own_topic(servers: str) -> Iterator[str]:
    """The same, for a test that changes it."""
    yield from make_topic(servers)


def make_topic(servers: str) -> Iterator[str]:
    name = f"test-{uuid4().hex[:12]}"
    kafka = load(
        flags={"kafka.topic": name, "kafka.timestamp_type": "CreateTime", "kafka.retention_hours": 1_000_000}
    ).settings.kafka
    ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5, "enable.idempotence": True})
    for partition, count in COUNTS.items():
        for offset in range(count):
            value = None if (partition, offset) == (1, 2) else b"%d" % offset
            producer.produce(name, value, partition=partition, timestamp=START_MS + offset)
    assert producer.flush(SECONDS) == 0
    yield name
    admin = AdminClient({"bootstrap.servers": servers})
    admin.delete_topics([name])[name].result(SECONDS)


def read(servers: str, topic: str, ranges: dict[int, tuple[int, int]]) -> list[LogRecord]:
    return list(read_ranges(servers, topic, ranges, timeout_seconds=SECONDS))


def expected(partition: int, start: int, end: int) -> list[LogRecord]:
    return [
        LogRecord(
            partition, offset, START_MS + offset, None if (partition, offset) == (1, 2) else b"%d" % offset
        )
        for offset in range(start, end)
    ]


@pytest.mark.parametrize(
    "ranges",
    [
        {0: (0, 25_000), 1: (0, 3), 2: (0, 0)},
        {0: (9_999, 20_001)},
        {0: (24_999, 25_000), 1: (1, 2)},
        {0: (0, 1)},
        {0: (5, 5), 1: (3, 3), 2: (0, 0)},
        {1: (0, 3)},
        {},
    ],
)
def test_exactly_the_records_of_the_ranges(
    servers: str, topic: str, ranges: dict[int, tuple[int, int]]
) -> None:
    records = read(servers, topic, ranges)
    for partition, (start, end) in ranges.items():
        assert [record for record in records if record.partition == partition] == expected(
            partition, start, end
        )
    assert len(records) == sum(end - start for start, end in ranges.values())


def test_records_beyond_the_range_are_left_while_more_arrive(servers: str, own_topic: str) -> None:
    reading = read_ranges(servers, own_topic, {0: (0, 25_000), 1: (0, 2)}, timeout_seconds=SECONDS)
    records = [next(reading)]
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})
    for _ in range(1000):
        producer.produce(own_topic, b"later", partition=0)
    assert producer.flush(SECONDS) == 0
    records += reading
    assert sorted(records) == [*expected(0, 0, 25_000), *expected(1, 0, 2)]


def test_offsets_without_a_record_end_a_range_too(servers: str, own_topic: str) -> None:
    """A transaction's end takes an offset of its own, which no reader is ever given."""
    producer = Producer({"bootstrap.servers": servers, "transactional.id": own_topic})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    producer.produce(own_topic, b"in a transaction", partition=1)
    producer.commit_transaction(SECONDS)
    # The marker is written after the commit was answered, so its offset is asked for here.
    deadline = Deadline(SECONDS)
    while end_offsets(servers, own_topic, timeout_seconds=SECONDS)[1] != (0, 5):
        assert not deadline.expired
    assert read(servers, own_topic, {1: (4, 5)}) == []
    records = read(servers, own_topic, {0: (24_998, 25_000), 1: (2, 5)})
    assert [record.value for record in records if record.partition == 1] == [None, b"in a transaction"]
    assert len(records) == 4


def test_a_range_that_begins_before_the_log_is_refused(servers: str, own_topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    cut = TopicPartition(own_topic, 0, 10)
    admin.delete_records([cut])[cut].result(SECONDS)
    assert read(servers, own_topic, {0: (10, 12)}) == expected(0, 10, 12)
    with pytest.raises(RefusedError, match="cannot be verified") as caught:
        read_ranges(servers, own_topic, {0: (9, 12)}, timeout_seconds=SECONDS)
    assert caught.value.detail == "partition 0 begins at offset 10, and 9 to 10 is gone"


def test_records_that_vanish_while_they_are_read_are_noticed(
    servers: str, own_topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fraudctl.broker.log.end_offsets", lambda *_, **__: {0: (0, 25_000), 1: (0, 3), 2: (0, 0)}
    )
    reading = read_ranges(servers, own_topic, {0: (0, 25_000)}, timeout_seconds=SECONDS)
    admin = AdminClient({"bootstrap.servers": servers})
    cut = TopicPartition(own_topic, 0, 25_000)
    admin.delete_records([cut])[cut].result(SECONDS)
    with pytest.raises(RefusedError, match="cannot be verified"):
        list(reading)


@pytest.mark.parametrize(
    ("ranges", "detail"),
    [
        ({1: (0, 4)}, "partition 1 ends at offset 3, and 4 was reached before"),
        ({7: (0, 1)}, "partition 7 does not exist"),
    ],
)
def test_a_range_beyond_the_log_is_refused(
    servers: str, topic: str, ranges: dict[int, tuple[int, int]], detail: str
) -> None:
    with pytest.raises(RefusedError, match="cannot be verified") as caught:
        read_ranges(servers, topic, ranges, timeout_seconds=SECONDS)
    assert caught.value.detail == detail


@pytest.mark.parametrize("span", [(-1, 3), (3, 2)])
def test_what_is_no_range_is_a_mistake_of_the_caller(servers: str, span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no offset range"):
        read_ranges(servers, "any", {0: span}, timeout_seconds=SECONDS)


def test_when_the_next_record_of_each_partition_arrived(servers: str, topic: str) -> None:
    asked = {0: 24_999, 1: 1, 2: 0}
    assert next_arrivals(servers, topic, asked, timeout_seconds=SECONDS) == {
        0: START_MS + 24_999,
        1: START_MS + 1,
        2: None,
    }
    assert next_arrivals(servers, topic, {1: 3}, timeout_seconds=SECONDS) == {1: None}


def test_the_next_record_after_a_loss_is_the_first_that_is_left(servers: str, own_topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    cut = TopicPartition(own_topic, 0, 100)
    admin.delete_records([cut])[cut].result(SECONDS)
    assert next_arrivals(servers, own_topic, {0: 5}, timeout_seconds=SECONDS) == {0: START_MS + 100}
