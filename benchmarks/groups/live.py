"""Live traffic in small batches: trigger time at 500/s, delay until a SELECT sees an event at 2,000/s.

The delay is measured in the same way for every side that writes windows to the database: the sum of all
counts is polled, and each event lies in exactly ten windows. The k-th arrival is visible as soon as the sum
divided by ten has reached k. Flink has no database here, so it is not among the sides.
"""

import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

import psycopg
from confluent_kafka import Consumer, Message, TopicPartition

from benchmarks import processes, traffic
from benchmarks.errors import BenchError
from benchmarks.figures import Batch, percentile, visibility_delays
from benchmarks.processes import Running
from benchmarks.runner import Context, Outcome, RunSide
from benchmarks.services import Code
from benchmarks.sides import detect, spark

PARTITIONS = 3
_POLL_SECONDS = 0.02
_START_SECONDS = 300.0
_METRICS = "SELECT coalesce(sum(count), 0)::bigint FROM fraud.fraud_metrics"
_NAIVE = "SELECT coalesce(sum(count), 0)::bigint FROM windows"


def run(context: Context) -> None:
    """Measure both rates; batches follow one another without a pause on every side."""
    sizes = context.sizes
    context.note(
        "live",
        f"{sizes.live_seconds:g} s of traffic a run, the first {sizes.live_warm_up_seconds:g} s dropped, "
        f"batches back to back on every side; Flink writes to no database here and is left out",
    )
    for rate in sizes.live_rates:
        sides: dict[str, RunSide] = {
            code.name: partial(_detect, context, code, rate) for code in context.codes
        }
        sides["naive Spark"] = partial(_naive, context, rate)
        context.interleave(f"live-{rate}", sides)


def _detect(context: Context, code: Code, rate: int) -> Outcome:
    topic = _new_topic(context)
    settings = {
        "SPARK__DRIVER_MEMORY": detect.HEAP,
        "SPARK__TRIGGER_SECONDS": "0",
        "KAFKA__TIMESTAMP_TYPE": "LogAppendTime",
    }
    with context.services.lane(code, topic, settings) as lane:
        argv = lane.argv("detect", "--json")
        with processes.running(argv, lane.env, lane.home, lane.services) as process:
            outcome = _follow(
                context, topic, rate, process, lambda: detect.batches(detect.read_lines(lane.progress_file)),
                lane.dsn, _METRICS,
            )  # fmt: skip
            process.interrupt()
            process.wait(120)
        delays = _alert_delays(context, lane.env["FRAUDCTL_KAFKA__ALERTS_TOPIC"])
    late = context.sizes.live_warm_up_seconds
    usual = [delay for moment, delay in delays if moment >= min(first for first, _ in delays) + late]
    if not usual:
        return outcome
    alerts = {"alert_p50_seconds": percentile(usual, 0.5), "alert_p99_seconds": percentile(usual, 0.99)}
    rounded = {name: round(value, 3) for name, value in alerts.items()}
    return Outcome(outcome.values | rounded, outcome.cpu_seconds, outcome.load, outcome.series)


def _naive(context: Context, rate: int) -> Outcome:
    topic = _new_topic(context)
    with spark.live_naive(context, topic, partitions=2) as (process, file, dsn):
        return _follow(context, topic, rate, process, partial(spark.read_batches, file), dsn, _NAIVE)


def _new_topic(context: Context) -> str:
    topic = f"live-{uuid.uuid4().hex[:8]}"
    traffic.create_topic(context.services.bootstrap_servers, topic, PARTITIONS, "LogAppendTime")
    return topic


def _follow(
    context: Context,
    topic: str,
    rate: int,
    process: Running,
    batches: Callable[[], list[Batch]],
    dsn: str,
    count: str,
) -> Outcome:
    """Send traffic while a side runs, and return its trigger times and delays after the warm-up."""
    sizes = context.sizes
    with context.services.sender(context.now, topic, {"KAFKA__TIMESTAMP_TYPE": "LogAppendTime"}) as sender:
        # A few records first: a side is ready once it has stored some.
        first = sender.run("produce", "--rate", "200", "--count", "100", "--seed", "1", "--json")
        began = time.monotonic()
        while not [batch for batch in batches() if batch.records]:
            if process.process.poll() is not None or time.monotonic() - began > _START_SECONDS:
                raise BenchError("it did not store the first records")
            time.sleep(0.2)
        with _polling(dsn, count) as counts:
            measured = time.time()
            duration = ("--rate", str(rate), "--duration", f"{sizes.live_seconds:g}s")
            sent = json.loads(sender.run("produce", *duration, "--seed", "2", "--json").stdout)
            total = sent["acknowledged"] + json.loads(first.stdout)["acknowledged"]
            deadline = time.monotonic() + 60
            while counts[-1][1] < total and time.monotonic() < deadline:
                time.sleep(0.1)
    ended = time.time()
    load = process.watch.stop()
    if counts[-1][1] != total:
        raise BenchError(f"it counted {counts[-1][1]:,} of {total:,} events")
    arrivals = sorted(message.timestamp()[1] / 1000 for message in _messages(context, topic))
    delays = visibility_delays(arrivals, counts)
    after = measured + sizes.live_warm_up_seconds
    usual = [delay for arrival, delay in zip(arrivals, delays, strict=False) if arrival >= after]
    triggers = [batch.seconds for batch in batches() if batch.records and batch.began >= after]
    return Outcome.of(
        {
            "trigger_p50_ms": round(percentile(triggers, 0.5) * 1000, 1),
            "trigger_p95_ms": round(percentile(triggers, 0.95) * 1000, 1),
            "delay_p50_seconds": round(percentile(usual, 0.5), 3),
            "delay_p99_seconds": round(percentile(usual, 0.99), 3),
            "sent_per_second": sent["rate_achieved"],
            "cpu_ms_per_second": round(process.watch.cpu_between(after, ended) / (ended - after) * 1000, 1),
        },
        process.watch,
        load,
        series={"trigger_ms": [round(seconds * 1000) for seconds in triggers]},
    )


@contextmanager
def _polling(dsn: str, query: str) -> Iterator[list[tuple[float, int]]]:
    """Ask again and again how many events the windows count; yields the growing list of answers."""
    found: list[tuple[float, int]] = []
    done = threading.Event()

    def poll() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not done.wait(_POLL_SECONDS):
                row = connection.execute(query).fetchone()
                value = int(row[0]) // detect.WINDOWS_PER_EVENT if row else 0
                if not found or value != found[-1][1]:
                    found.append((time.time(), value))

    thread = threading.Thread(target=poll, name="poll", daemon=True)
    found.append((time.time(), 0))
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def _alert_delays(context: Context, topic: str) -> list[tuple[float, float]]:
    """Return for each alert when it was on its topic, and how long after the transaction's arrival."""
    found = []
    for message in _messages(context, topic):
        alert = json.loads(message.value())
        arrival = datetime.fromisoformat(alert["arrival"]).timestamp()
        written = message.timestamp()[1] / 1000
        found.append((written, written - arrival))
    return found


def _messages(context: Context, topic: str) -> Iterator[Message]:
    """Yield every record of a topic."""
    options = {"bootstrap.servers": context.services.bootstrap_servers, "group.id": "bench"}
    consumer = Consumer(options | {"enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        starts, total = [], 0
        for number in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            starts.append(TopicPartition(topic, number, low))
            total += high - low
        consumer.assign(starts)
        while total > 0:
            for message in itertools.islice(consumer.consume(10_000, 1.0), total):
                total -= 1
                yield message
    finally:
        consumer.close()
