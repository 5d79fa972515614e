"""Put records into a stack's topic byte by byte: partition, key, value and arrival as a test wants them."""

from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import Producer

from tests.support.stacks import Stack

# The arrival of a record is then what the test says, also when it lies in the past.
CREATE_TIME = {"FRAUDCTL_KAFKA__TIMESTAMP_TYPE": "CreateTime", "FRAUDCTL_KAFKA__RETENTION_HOURS": "1000000"}
TOPIC = "transactions"


class Raw(NamedTuple):
    """One record to be; arrival zero lets Kafka say the time."""

    partition: int
    value: bytes | None
    arrival_ms: int = 0
    key: bytes | None = None


def send(stack: Stack, records: Iterable[Raw]) -> list[int]:
    """Send all, in order per partition; the offset that each got."""
    return send_to(stack.kafka, records)


def send_to(bootstrap_servers: str, records: Iterable[Raw]) -> list[int]:
    """As `send`, to the topic of whatever broker this is."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.max.bytes": 2_000_000,
            "queue.buffering.max.messages": 500_000,
        }
    )
    offsets: dict[int, int] = {}
    failures: list[str] = []
    number = -1
    for number, record in enumerate(records):

        def report(error: object, message: object, number: int = number) -> None:
            if error:
                failures.append(str(error))
            else:
                offsets[number] = message.offset()  # type: ignore[attr-defined]

        producer.produce(
            TOPIC,
            record.value,
            record.key,
            record.partition,
            timestamp=record.arrival_ms,
            on_delivery=report,
        )
        producer.poll(0)
    assert producer.flush(60.0) == 0
    assert not failures, failures[:3]
    return [offsets[place] for place in range(number + 1)]
