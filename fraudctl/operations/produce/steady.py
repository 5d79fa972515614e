"""A producer of simulated transactions at a steady rate, with a delivery report for every one."""

import math
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from fraudctl.broker import topics
from fraudctl.broker.producer import Deliveries, RecordProducer
from fraudctl.clock import StopFlag
from fraudctl.config.model import Settings
from fraudctl.errors import UsageError
from fraudctl.events.codec import rfc3339
from fraudctl.simulator.arrivals import Message
from fraudctl.simulator.pacing import Schedule, Unthrottled, schedule
from fraudctl.simulator.traffic import TrafficDigest, stamp_lines
from fraudctl.simulator.traffic_columns import TrafficLines

HIGHEST_RATE = 1_000_000.0
HIGHEST_SEED = 2**63 - 1
OBSERVE_SECONDS = 0.25
# How many ready-made messages are sent between two checks for a stop.
AT_ONCE = 1_000
# Events that would be further behind than this are skipped, so that none arrives too late to be counted.
LAG_LIMIT_SECONDS = 60.0


@dataclass(frozen=True)
class ProduceRequest:
    """A request to send transactions, at `rate` per second or without it as fast as the broker takes them.

    Without `count` and `duration_seconds` the run lasts until it is stopped; without `seed` one is drawn.
    """

    settings: Settings
    bootstrap_servers: str
    rate: float | None
    count: int | None = None
    duration_seconds: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    `rate` is the average since the last report, in events per second. `trouble` is the latest client error,
    as long as no record is acknowledged.
    """

    seed: int
    seconds: float
    rate: float
    deliveries: Deliveries
    trouble: str


# The reason why a run ended: its count or its time was reached, there was nothing more to send, a stop was
# requested, or the client failed.
Ending = Literal["count", "duration", "end", "stop", "failure"]
Observe = Callable[[Progress], None]


@dataclass(frozen=True)
class Produced:
    """The report of one run; `digest` covers the events without their times, `anchor` is the first time."""

    topic: str
    seed: int
    sent: int
    acknowledged: int
    failed: int
    errors: dict[str, int]
    seconds: float
    rate_asked: float | None
    rate_achieved: float
    anchor: str
    skipped_seconds: float
    digest: str
    ended_by: Ending


def produce(request: ProduceRequest, *, stop: StopFlag, observe: Observe) -> Produced:
    """Send until the count or the time is reached, or `stop` is set; then wait for the delivery reports.

    Raises:
        UsageError: the request is not valid, see `refuse_nonsense`.
        UnreachableError: no broker answers.
        RefusedError: the topic does not exist.
    """
    refuse_nonsense(request)
    settings = request.settings
    connect_seconds = settings.timeouts.connect_seconds
    topics.probe(request.bootstrap_servers, timeout_seconds=connect_seconds)
    topics.identity(request.bootstrap_servers, settings.kafka.topic, timeout_seconds=connect_seconds)
    seed = secrets.randbits(32) if request.seed is None else request.seed
    traffic = TrafficLines(settings.producer, settings.events, seed)
    digest = TrafficDigest()
    with RecordProducer(request.bootstrap_servers, settings.kafka, settings.producer) as producer:
        watch = Watch(producer, seed, observe)
        # The clock starts when everything is ready to go.
        pace = schedule(
            request.rate, lag_limit_seconds=min(LAG_LIMIT_SECONDS, settings.lateness.late_seconds / 4)
        )
        ended_by = _send_on_time(request, pace, traffic, digest, producer, watch, stop)
        seconds = pace.elapsed
        deliveries = watch.settled()
        if request.rate is None:
            # Without a rate the run measures the broker's speed, so it ends with the last report.
            seconds = pace.elapsed
    return Produced(
        topic=settings.kafka.topic,
        seed=seed,
        sent=deliveries.sent,
        acknowledged=deliveries.acknowledged,
        failed=deliveries.failed,
        errors=deliveries.errors,
        seconds=round(seconds, 3),
        rate_asked=request.rate,
        # The first event is sent at once, so n events have n - 1 intervals.
        rate_achieved=round((deliveries.sent - 1) / seconds, 2) if deliveries.sent > 1 else 0.0,
        anchor=rfc3339(pace.anchor_ms),
        skipped_seconds=round(pace.skipped_seconds, 3),
        digest=digest.hexdigest(),
        ended_by=ended_by,
    )


def produce_messages(
    bootstrap_servers: str,
    settings: Settings,
    messages: Iterable[Message],
    *,
    stop: StopFlag,
    observe: Observe,
    seed: int = 0,
) -> Deliveries:
    """Send ready-made messages as fast as the broker takes them, each with its arrival as the timestamp.

    The topic must take timestamps from the producer (CreateTime).
    """
    with RecordProducer(bootstrap_servers, settings.kafka, settings.producer) as producer:
        watch = Watch(producer, seed, observe)
        waiting = iter(messages)
        while not stop.is_set and not producer.broken and (part := list(islice(waiting, AT_ONCE))):
            producer.send_batch(
                [message.key for message in part],
                [message.value for message in part],
                [message.arrival_ms for message in part],
                meanwhile=watch.look,
            )
            watch.look()
        return watch.settled()


def refuse_nonsense(request: ProduceRequest) -> None:
    """Check the parts of a request that can be checked without a broker.

    Raises:
        UsageError: rate, count, duration or seed is out of range.
    """
    if request.rate is not None and not 0 < request.rate <= HIGHEST_RATE:
        raise UsageError(
            f"the rate must be above 0 and at most {HIGHEST_RATE:,.0f} events per second, "
            f"not {request.rate:g}",
            hint="for example `fraudctl produce --rate 500`, or --rate max for as fast as possible",
        )
    if request.count is not None and request.count < 1:
        raise UsageError(f"the count must be at least 1, not {request.count}")
    if request.duration_seconds is not None and request.duration_seconds <= 0:
        raise UsageError(f"the duration must be above 0, not {request.duration_seconds:g} s")
    if request.seed is not None and not 0 <= request.seed <= HIGHEST_SEED:
        raise UsageError(f"the seed must be from 0 to {HIGHEST_SEED}, not {request.seed}")


def limit(rate: float | None, count: int | None, duration_seconds: float | None) -> tuple[int, Ending]:
    """Return how many events complete a run, and whether that is by its count or by its duration."""
    by_count = sys.maxsize if count is None else count
    if duration_seconds is None or rate is None:
        return by_count, "count"
    # Event i is due at i/rate; the small term keeps a rounding error from adding an event.
    by_time = max(1, math.ceil(duration_seconds * rate - 1e-6))
    return min(by_count, by_time), "count" if by_count <= by_time else "duration"


def _send_on_time(
    request: ProduceRequest,
    pace: Schedule | Unthrottled,
    traffic: TrafficLines,
    digest: TrafficDigest,
    producer: RecordProducer,
    watch: "Watch",
    stop: StopFlag,
) -> Ending:
    total, ending = limit(request.rate, request.count, request.duration_seconds)
    number = 0
    while not stop.is_set and not producer.broken:
        # Checked before sending, so that events due by the end of the time are still sent.
        time_is_up = pace.elapsed >= (request.duration_seconds or math.inf)
        due = min(pace.due(), total - number)
        while due:
            keys, lines = traffic.take(due)
            digest.add(lines)
            values = stamp_lines(lines, pace.event_times_ms(number, len(lines)))
            producer.send_batch(keys, values, meanwhile=watch.look)
            number, due = number + len(lines), due - len(lines)
        if number >= total:
            return ending
        if time_is_up:
            return "duration"
        producer.poll()
        watch.look()
        stop.wait(pace.pause())
    return "failure" if producer.broken else "stop"


class Watch:
    """A reporter of progress at even intervals, also during the wait for the last records."""

    def __init__(self, producer: RecordProducer, seed: int, observe: Observe) -> None:
        """Start the clock; `observe` is called with the progress of `producer`, and with `seed`."""
        self._producer = producer
        self._seed = seed
        self._observe = observe
        self._start = self._last = time.monotonic()
        self._before = producer.deliveries

    def look(self) -> None:
        """Report the progress if `OBSERVE_SECONDS` have passed since the last report."""
        now = time.monotonic()
        if now - self._last >= OBSERVE_SECONDS:
            self._report(now)

    def settled(self) -> Deliveries:
        """Wait for the last delivery reports, and return the complete counts."""
        deliveries = self._producer.settle(meanwhile=self.look)
        self._report(time.monotonic())
        return deliveries

    def _report(self, now: float) -> None:
        deliveries = self._producer.deliveries
        passed = now - self._last
        stuck = deliveries.queued > 0 and deliveries.acknowledged == self._before.acknowledged
        self._observe(
            Progress(
                seed=self._seed,
                seconds=now - self._start,
                rate=(deliveries.sent - self._before.sent) / passed if passed > 0 else 0.0,
                deliveries=deliveries,
                trouble=self._producer.last_error if stuck else "",
            )
        )
        self._last, self._before = now, deliveries
