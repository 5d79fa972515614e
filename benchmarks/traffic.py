"""The logs that sides read: simulated transactions at an even pace, with copies, late and broken ones.

The lines come from `fraudctl simulate --preset everyday`; each is given a new id, so that any number of
events can be made of them, and an event time, so that events follow one another evenly. The record's
timestamp is its arrival. Everything follows from the seed.
"""

import heapq
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

_TIME = b'"event_time":"'
_ID = b'"transaction_id":"'
_CARD = b'"card_id":"'
_CATEGORY = b'"category":"'
_START_MS = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)
_USUAL_LAG_SECONDS, _LONGEST_USUAL_LAG_SECONDS = 3.0, 280.0
_LATE_SECONDS = (310.0, 900.0)
_COPY_SECONDS = (1.0, 60.0)
# No lines of librdkafka's own: a broker that has just started or stopped is no news, and errors are raised.
QUIET = {"log_level": 0}


@dataclass(frozen=True)
class Traffic:
    """The parameters of a log.

    `events` of the preset's lines arrive at `events_per_second` of event time. `copies`, `late` and
    `malformed` are shares of them. `cards` and `categories` replace the preset's own when they are given.
    `unique_from` numbers the ids: two logs with the same numbers hold copies of each other's events.
    """

    events: int
    events_per_second: float = 83.0
    copies: float = 0.01
    late: float = 0.003
    malformed: float = 0.001
    seed: int = 1
    cards: int | None = None
    categories: tuple[str, ...] = ()
    unique_from: int = 0
    in_order: bool = False  # no lag at all: arrival is the event's own time


@dataclass
class Loaded:
    """What a topic holds."""

    topic: str
    partitions: int
    records: int = 0
    events: int = 0
    copies: int = 0
    late: int = 0
    malformed: int = 0
    seconds: float = 0.0
    ends: dict[int, int] = field(default_factory=dict)


Record = tuple[int, bytes, bytes]  # arrival in milliseconds, key, value


def records(lines: list[bytes], traffic: Traffic, told: Loaded) -> Iterator[Record]:
    """Yield the records of a log in the order of arrival, and count them in `told`."""
    draw = random.Random(traffic.seed)
    step_ms = 1000.0 / traffic.events_per_second
    waiting: list[tuple[int, int, bytes, bytes]] = []
    number = 0
    for index in range(traffic.events):
        event_ms = int(_START_MS + index * step_ms)
        while waiting and waiting[0][0] <= event_ms:
            arrival, _, key, value = heapq.heappop(waiting)
            yield arrival, key, value
        key, value = _event(lines[index % len(lines)], traffic.unique_from + index, event_ms, traffic, draw)
        told.events += 1
        lag = 0.0 if traffic.in_order else _lag(draw)
        if draw.random() < traffic.late:
            lag = draw.uniform(*_LATE_SECONDS)
            told.late += 1
        arrival = event_ms + int(lag * 1000)
        arriving = [(arrival, value)]
        if draw.random() < traffic.copies:
            arriving.append((arrival + int(draw.uniform(*_COPY_SECONDS) * 1000), value))
            told.copies += 1
        if draw.random() < traffic.malformed:
            arriving.append((arrival, value[: draw.randrange(1, len(value))]))
            told.malformed += 1
        for moment, payload in arriving:
            number += 1
            heapq.heappush(waiting, (moment, number, key, payload))
    while waiting:
        arrival, _, key, value = heapq.heappop(waiting)
        yield arrival, key, value


def _lag(draw: random.Random) -> float:
    return min(draw.expovariate(1 / _USUAL_LAG_SECONDS), _LONGEST_USUAL_LAG_SECONDS)


def _event(
    line: bytes, number: int, event_ms: int, traffic: Traffic, draw: random.Random
) -> tuple[bytes, bytes]:
    """Return the key and the value of one event: a line with another id and another time."""
    digits = b"%032x" % number
    name = b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    value = _replaced(line, _ID, name)
    moment = datetime.fromtimestamp(event_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
    value = _replaced(value, _TIME, moment + b".%03dZ" % (event_ms % 1000))
    if traffic.cards is not None:
        value = _replaced(value, _CARD, b"card-%07d" % draw.randrange(traffic.cards))
    if traffic.categories:
        value = _replaced(value, _CATEGORY, draw.choice(traffic.categories).encode())
    begin = value.index(_CARD) + len(_CARD)
    return value[begin : value.index(b'"', begin)], value


def _replaced(line: bytes, field_start: bytes, value: bytes) -> bytes:
    begin = line.index(field_start) + len(field_start)
    return line[:begin] + value + line[line.index(b'"', begin) :]


def create_topic(
    bootstrap_servers: str, topic: str, partitions: int, timestamp_type: str = "CreateTime"
) -> None:
    """Create a topic that keeps its records whatever their timestamps are."""
    config = {"message.timestamp.type": timestamp_type, "retention.ms": "-1", "cleanup.policy": "delete"}
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, **QUIET})
    futures = admin.create_topics([NewTopic(topic, partitions, 1, config=config)])
    futures[topic].result(30)
    for _ in range(50):
        if topic in admin.list_topics(timeout=10).topics:
            return
        time.sleep(0.1)


def delete_topic(bootstrap_servers: str, topic: str) -> None:
    """Delete a topic, so that its records take no more room."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, **QUIET})
    admin.delete_topics([topic])[topic].result(30)


def send(bootstrap_servers: str, topic: str, partitions: int, lines: list[bytes], *parts: Traffic) -> Loaded:
    """Send logs to a topic, one after the other, and return what the topic holds because of them."""
    told = Loaded(topic, partitions)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "linger.ms": 50,
            "queue.buffering.max.messages": 500_000,
            "batch.size": 262_144,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            **QUIET,
        }
    )
    began = time.time()
    for traffic in parts:
        for arrival, key, value in records(lines, traffic, told):
            while True:
                try:
                    producer.produce(topic, value, key, timestamp=arrival)
                    break
                except BufferError:
                    producer.poll(0.05)
            told.records += 1
            if told.records % 5000 == 0:
                producer.poll(0)
    if producer.flush(120):
        raise RuntimeError(f"the broker did not take every record of {topic}")
    told.seconds = round(time.time() - began, 1)
    told.ends = end_offsets(bootstrap_servers, topic, partitions)
    return told


def end_offsets(bootstrap_servers: str, topic: str, partitions: int) -> dict[int, int]:
    """Return one past the last offset of each partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "bench", **QUIET})
    try:
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
            for number in range(partitions)
        }
    finally:
        consumer.close()


def base_lines(file: Path) -> list[bytes]:
    """Read the simulated lines, without their line ends."""
    return file.read_bytes().splitlines()
