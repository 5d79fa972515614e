"""Topics of a real broker: created once, compared afterwards, told apart from their successors."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

from fraudctl.broker.topics import TopicGuard, end_offsets, ensure_topic, identity, probe
from fraudctl.clock import Deadline
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.load import load
from fraudctl.config.model import KafkaSettings
from fraudctl.errors import ConfigError, RefusedError, UnreachableError
from fraudctl.runtime.ports import free_port

pytestmark = pytest.mark.services
SECONDS = 20.0


@pytest.fixture
def servers(endpoints: Endpoints) -> str:
    return endpoints.bootstrap_servers


@pytest.fixture
def kafka(servers: str) -> Iterator[KafkaSettings]:
    """Settings with a topic name of the test's own; the topic is removed afterwards, if it was made."""
    kafka = load(flags={"kafka.topic": f"test-{uuid4().hex[:12]}"}).settings.kafka
    yield kafka
    admin = AdminClient({"bootstrap.servers": servers})
    if kafka.topic in admin.list_topics(timeout=SECONDS).topics:
        delete(servers, kafka.topic)


def delete(servers: str, topic: str) -> None:
    # The client must outlive its request: without a name for it, it would be gone before the answer.
    admin = AdminClient({"bootstrap.servers": servers})
    admin.delete_topics([topic])[topic].result(SECONDS)


def changed(kafka: KafkaSettings, **changes: object) -> KafkaSettings:
    return kafka.model_copy(update=changes)


def test_probe_returns_when_a_broker_answers(servers: str) -> None:
    probe(servers, timeout_seconds=SECONDS)


def test_probe_tells_the_last_error_of_the_connection() -> None:
    port = free_port()
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}") as caught:
        probe(f"127.0.0.1:{port}", timeout_seconds=0.5)
    assert "Connection refused" in caught.value.detail


@pytest.mark.parametrize("address", ["", "  "])
def test_no_address_is_a_wrong_setting(address: str) -> None:
    with pytest.raises(ConfigError, match="not a list of Kafka servers"):
        probe(address, timeout_seconds=0.5)


def test_a_topic_is_created_once_with_every_setting_explicit(servers: str, kafka: KafkaSettings) -> None:
    first = ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    second = ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    assert (first.change, second.change) == ("created", "unchanged")
    assert first.partitions == second.partitions == kafka.partitions
    assert first.settings == second.settings
    resource = ConfigResource(ConfigResource.Type.TOPIC, kafka.topic)
    admin = AdminClient({"bootstrap.servers": servers})
    entries = admin.describe_configs([resource])[resource].result(SECONDS)
    explicit = {key: entry.value for key, entry in entries.items() if not entry.is_default}
    assert {key: explicit[key] for key in first.settings} == {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "604800000",
        "max.message.bytes": "1048576",
    }


def test_more_partitions_than_asked_for_are_fine_and_fewer_are_refused(
    servers: str, kafka: KafkaSettings
) -> None:
    ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    assert ensure_topic(servers, changed(kafka, partitions=2), timeout_seconds=SECONDS).partitions == 3
    with pytest.raises(RefusedError, match="has 3 partitions, the settings ask for 4") as caught:
        ensure_topic(servers, changed(kafka, partitions=4), timeout_seconds=SECONDS)
    assert "kafka.partitions to 3" in caught.value.hint


def test_another_meaning_of_timestamps_is_refused(servers: str, kafka: KafkaSettings) -> None:
    ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    with pytest.raises(RefusedError, match="LogAppendTime, the settings ask for CreateTime") as caught:
        ensure_topic(servers, changed(kafka, timestamp_type="CreateTime"), timeout_seconds=SECONDS)
    assert "kafka.timestamp_type to LogAppendTime" in caught.value.hint


def test_other_differences_are_named_and_left(servers: str, kafka: KafkaSettings) -> None:
    ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    report = ensure_topic(servers, changed(kafka, retention_hours=1), timeout_seconds=SECONDS)
    assert report.differences == ("retention.ms is 604800000, the settings say 3600000",)


def test_settings_that_the_broker_refuses_are_named(servers: str, kafka: KafkaSettings) -> None:
    with pytest.raises(RefusedError, match="refuses to create the topic '\\.\\.'") as caught:
        ensure_topic(servers, changed(kafka, topic=".."), timeout_seconds=SECONDS)
    assert caught.value.detail


def test_a_topic_made_again_is_another_one(servers: str, kafka: KafkaSettings) -> None:
    ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    first = identity(servers, kafka.topic, timeout_seconds=SECONDS)
    assert identity(servers, kafka.topic, timeout_seconds=SECONDS) == first
    delete(servers, kafka.topic)
    ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    # Under load the broker may answer from what it knew before the deletion, for a moment.
    deadline = Deadline(SECONDS)
    while (second := identity(servers, kafka.topic, timeout_seconds=SECONDS)) == first:
        assert not deadline.expired
    assert second.topic_id != first.topic_id
    assert (second.cluster_id, second.partitions) == (first.cluster_id, first.partitions)


def test_a_guard_notices_that_the_topic_is_gone_or_another_one(servers: str, kafka: KafkaSettings) -> None:
    ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    guard = TopicGuard(servers, kafka.topic, identity(servers, kafka.topic, timeout_seconds=SECONDS).topic_id)
    guard.check(timeout_seconds=SECONDS)
    delete(servers, kafka.topic)
    deadline = Deadline(SECONDS)
    with pytest.raises(RefusedError, match="does not exist"):
        while not deadline.expired:
            guard.check(timeout_seconds=SECONDS)
    ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    with pytest.raises(RefusedError, match="created again"):
        guard.check(timeout_seconds=SECONDS)


def test_a_guard_notices_that_records_were_removed_before_they_were_planned(
    servers: str, kafka: KafkaSettings
) -> None:
    ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    guard = TopicGuard(servers, kafka.topic, identity(servers, kafka.topic, timeout_seconds=SECONDS).topic_id)
    producer = Producer({"bootstrap.servers": servers})
    for _ in range(10):
        producer.produce(kafka.topic, b"x", partition=1)
    assert producer.flush(SECONDS) == 0
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.delete_records([TopicPartition(kafka.topic, 1, 6)]).values():
        future.result(SECONDS)
    guard.check_held({}, timeout_seconds=SECONDS)
    guard.check_held({0: 0, 1: 6}, timeout_seconds=SECONDS)
    with pytest.raises(RefusedError, match="gone from the topic") as caught:
        guard.check_held({0: 0, 1: 5}, timeout_seconds=SECONDS)
    assert caught.value.detail == "partition 1 begins at offset 6, and was read to 5"


def test_a_guard_that_hears_nothing_says_so() -> None:
    with pytest.raises(UnreachableError):
        TopicGuard(f"127.0.0.1:{free_port()}", "any", "id").check(timeout_seconds=0.5)


def test_a_missing_topic_is_named_with_its_remedy(servers: str, kafka: KafkaSettings) -> None:
    for question in (identity, end_offsets):
        with pytest.raises(RefusedError, match=f"'{kafka.topic}' does not exist") as caught:
            question(servers, kafka.topic, timeout_seconds=SECONDS)
        assert "fraudctl up" in caught.value.hint


def test_end_offsets_of_each_partition(servers: str, kafka: KafkaSettings) -> None:
    ensure_topic(servers, kafka, timeout_seconds=SECONDS)
    assert end_offsets(servers, kafka.topic, timeout_seconds=SECONDS) == dict.fromkeys(range(3), (0, 0))
    producer = Producer({"bootstrap.servers": servers})
    for partition in (0, 2, 2):
        producer.produce(kafka.topic, b"x", partition=partition)
    assert producer.flush(SECONDS) == 0
    ends = end_offsets(servers, kafka.topic, timeout_seconds=SECONDS)
    assert ends == {0: (0, 1), 1: (0, 0), 2: (0, 2)}
