"""Producers with the same settings: `fraudctl produce`, a naive loop, Kafka's own load generator.

The rate is the same for all: the broker's timestamps of the last and of the first record, over their number.
"""

import json
import os
import sys
import uuid
from functools import partial
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from benchmarks import processes, traffic
from benchmarks.errors import BenchError
from benchmarks.jars import locked_jar
from benchmarks.processes import Finished
from benchmarks.runner import Context, Outcome, RunSide
from benchmarks.services import Code, clean_environment
from fraudctl.clock import Deadline
from fraudctl.config.paths import stack_paths
from fraudctl.runtime.jvm.jars import ensure_jars
from fraudctl.runtime.jvm.java import find_java

PARTITIONS = 3
_SCRIPT = Path(__file__).resolve().parent.parent / "sides" / "naive_producer.py"
# As fraudctl/broker/options.py has them: every record acknowledged by all, written once, in order.
SETTINGS = {"acks": "all", "enable.idempotence": "true", "linger.ms": "20", "compression.type": "lz4"}
_HIGHEST_RATE = "1000000"


def run(context: Context) -> None:
    """Send the same number of records by each producer, each to a topic of its own."""
    count = context.sizes.producer_events
    settings = ", ".join(f"{name}={value}" for name, value in SETTINGS.items())
    context.note(
        "producers",
        f"{count:,} records a run to {PARTITIONS} partitions, {settings}; `produce` draws its events on the "
        f"way, the others send lines that are ready; CPU without the broker's",
    )
    payloads = context.scratch() / "payloads.jsonl"
    payloads.write_bytes(b"\n".join(context.services.lines) + b"\n")
    sides: dict[str, RunSide] = {code.name: partial(_produce, context, code, count) for code in context.codes}
    sides["naive loop"] = lambda: _naive(context, payloads, count)
    sides["ProducerPerformance"] = lambda: _performance(context, payloads, count)
    context.interleave("producers", sides, warm_up=context.sizes.warm_up_rounds)


def _produce(context: Context, code: Code, count: int) -> Outcome:
    topic = _new_topic(context)
    with context.services.sender(code, topic, {"KAFKA__TIMESTAMP_TYPE": "LogAppendTime"}) as lane:
        done = lane.run("produce", "--rate", _HIGHEST_RATE, "--count", str(count), "--seed", "1", "--json")
    if json.loads(done.stdout)["acknowledged"] != count:
        raise BenchError(f"produce: not every one of {count:,} records was acknowledged")
    return _outcome(context, topic, count, done)


def _naive(context: Context, payloads: Path, count: int) -> Outcome:
    topic = _new_topic(context)
    argv = [
        *(sys.executable, str(_SCRIPT), "--bootstrap-servers", context.services.bootstrap_servers),
        *("--topic", topic, "--payloads", str(payloads), "--count", str(count)),
        *("--settings", json.dumps(SETTINGS)),
    ]
    done = processes.run(argv, clean_environment(), context.scratch(), context.services.pids)
    return _outcome(context, topic, count, done)


def _performance(context: Context, payloads: Path, count: int) -> Outcome:
    topic = _new_topic(context)
    paths = stack_paths(None, "default")
    java = find_java(paths, os.environ)
    jars = [*ensure_jars("broker", java, paths, Deadline(900.0)), locked_jar("kafka-tools", context.cache)]
    properties = {"bootstrap.servers": context.services.bootstrap_servers, **SETTINGS}
    argv = [
        *(str(java.executable), "-Xmx512m", "-XX:-UsePerfData", "-cp", ":".join(map(str, jars))),
        *("org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", str(count)),
        *("--throughput", "-1", "--payload-file", str(payloads)),
        *("--producer-props", *(f"{name}={value}" for name, value in properties.items())),
    ]
    done = processes.run(argv, clean_environment(), context.scratch(), context.services.pids)
    return _outcome(context, topic, count, done)


def _new_topic(context: Context) -> str:
    topic = f"producers-{uuid.uuid4().hex[:8]}"
    traffic.create_topic(context.services.bootstrap_servers, topic, PARTITIONS, "LogAppendTime")
    return topic


def _outcome(context: Context, topic: str, count: int, done: Finished) -> Outcome:
    first, last, stored = _span(context.services.bootstrap_servers, topic)
    traffic.delete_topic(context.services.bootstrap_servers, topic)
    if stored != count:
        raise BenchError(f"the topic holds {stored:,} records, and {count:,} were sent")
    cpu = sum(
        seconds for kind, seconds in done.watch.cpu_seconds().items() if kind not in context.services.pids
    )
    return Outcome.of(
        {
            "events_per_second": round(count / max(0.001, last - first), 1),
            "cpu_us_per_event": round(cpu / count * 1e6, 2),
            "wall_seconds": round(done.seconds, 2),
        },
        done.watch,
        done.load,
    )


def _span(bootstrap_servers: str, topic: str) -> tuple[float, float, int]:
    """Return the broker's time of the first and of the last record, in seconds, and their number."""
    options = {"bootstrap.servers": bootstrap_servers, "group.id": "bench", "enable.auto.commit": False}
    consumer = Consumer(options)
    moments: list[float] = []
    total = 0
    try:
        for partition in range(PARTITIONS):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            total += high - low
            for offset in (low, high - 1) if high > low else ():
                consumer.assign([TopicPartition(topic, partition, offset)])
                message = consumer.poll(10)
                if message is None or message.error():
                    raise BenchError(f"record {offset} of {topic} cannot be read")
                moments.append(message.timestamp()[1] / 1000)
    finally:
        consumer.close()
    return min(moments), max(moments), total
