"""Send simulated transactions at a steady rate, and account for every one of them."""

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
# How many ready-made messages are handed over between two looks at a stop.
AT_ONCE = 1_000
# Events that would be further behind than this are skipped, so that none arrives too late to be counted.
LAG_LIMIT_SECONDS = 60.0


@dataclass(frozen=True)
class ProduceRequest:
    """Without `count` and `duration_seconds` it goes on until a stop; without `seed` one is drawn.

    Without `rate` events go as fast as the broker takes them.
    """

    settings: Settings
    bootstrap_servers: str
    rate: float | None
    count: int | None = None
    duration_seconds: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Progress:
    """How it stands; `rate` is the average since the last report. `trouble` is the latest client error."""

    seed: int
    seconds: float
    rate: float
    deliveries: Deliveries
    trouble: str


# What ended a run: its count or its time was reached, there was nothing more to send, a stop was asked for,
# or the client broke down.
Ending = Literal["count", "duration", "end", "stop", "failure"]
Observe = Callable[[Progress], None]


@dataclass(frozen=True)
class Produced:
    """The account of one run. `digest` covers the events without their clock; `anchor` is the first time."""

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
    """Generate and send until the count or the time is reached, or `stop` is set; then settle the account.

    Raises:
        UsageError: the request has no meaning.
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
            # Without a rate it is the broker's pace that was measured, to the last report.
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
        # The first event goes at once: n events are n - 1 intervals apart.
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
    """Send ready-made messages as fast as they are taken, each with its arrival as the record's timestamp.

    The topic must be one whose timestamps are the producer's (CreateTime).
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
    """Needs no broker, so it can be asked before one is looked for.

    Raises:
        UsageError: rate, count, duration or seed has no meaning.
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
    """After how many events a request is fulfilled, and whether its count or its time says so."""
    by_count = sys.maxsize if count is None else count
    if duration_seconds is None or rate is None:
        return by_count, "count"
    # Event i is due at i/rate: as many as are due before the time is over, but for a rounding error.
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
        # Looked at before sending: what is due by the end of the time still goes.
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
    """Reports progress at even intervals, also while the last records are waited for."""

    def __init__(self, producer: RecordProducer, seed: int, observe: Observe) -> None:
        self._producer = producer
        self._seed = seed
        self._observe = observe
        self._start = self._last = time.monotonic()
        self._before = producer.deliveries

    def look(self) -> None:
        now = time.monotonic()
        if now - self._last >= OBSERVE_SECONDS:
            self._report(now)

    def settled(self) -> Deliveries:
        """Wait for the last delivery reports; the account is then complete."""
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
