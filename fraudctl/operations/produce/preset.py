"""A producer of a preset's transactions: live at a rate, or as a backfill in accelerated time.

In a live run a message arrives when it is sent, and its event time is before or after that by the simulated
delay. In a backfill events keep their simulated times, shifted by whole days to end just before now, and each
record's timestamp is its simulated arrival.
"""

import math
import secrets
import time
from dataclasses import dataclass

import numpy as np

from fraudctl.broker import topics
from fraudctl.broker.producer import RecordProducer
from fraudctl.clock import StopFlag
from fraudctl.config.model import KafkaSettings
from fraudctl.errors import RefusedError, UsageError
from fraudctl.events.codec import rfc3339
from fraudctl.operations.produce.preset_run import PresetRun
from fraudctl.operations.produce.steady import (
    LAG_LIMIT_SECONDS,
    Ending,
    Observe,
    Produced,
    ProduceRequest,
    Watch,
    limit,
)
from fraudctl.operations.produce.steady import refuse_nonsense as refuse_plain_nonsense
from fraudctl.simulator.clocks import Stamps, days_back
from fraudctl.simulator.pacing import LONGEST_PAUSE_SECONDS, TICK_SECONDS, schedule
from fraudctl.simulator.preset import HabitsPreset, Preset

HIGHEST_SPEED = 10_000_000.0
# A live run lasts until it is stopped, so its preset needs more days than a run can send.
LIVE_DAYS = 3_650
ROWS = 1_000


@dataclass(frozen=True)
class PresetRequest:
    """A request to send a preset's transactions: live at the rate of `plain`, or with `speed` as a backfill.

    With `whole` a live run ends with the preset; otherwise the preset gets as many days as the run needs.
    """

    plain: ProduceRequest
    name: str
    preset: Preset
    speed: float | None = None
    whole: bool = False
    faults: bool = False
    labels: bool = True


@dataclass(frozen=True)
class PresetProduced(Produced):
    """The report of a run, with the transactions, frauds and labels that it sent.

    `fates` counts the messages by the outcome that they must have under the lateness settings; without faults
    all are counted. `labels_early` labels were sent at the end, before the times at which they are reported.
    """

    preset: str
    speed: float | None
    transactions: int
    fraud: int
    by_scenario: dict[str, int]
    faults: dict[str, int]
    fates: dict[str, int]
    labels_topic: str
    labels_sent: int
    labels_early: int
    labels_failed: int


def refuse_nonsense(request: PresetRequest) -> None:
    """Check the parts of a request that can be checked without a broker.

    Raises:
        UsageError: rate, speed, count, duration, seed or faults are not valid.
        RefusedError: the topic does not take timestamps from producers, or does not keep records long enough.
    """
    refuse_plain_nonsense(request.plain)
    if request.faults and not request.preset.has_faults:
        raise UsageError(f"the preset {request.name!r} has no faults", hint="take --preset rough")
    if request.speed is None:
        return
    if not 0 < request.speed <= HIGHEST_SPEED:
        raise UsageError(
            f"the speed must be above 0 and at most {HIGHEST_SPEED:,.0f}, not {request.speed:g}",
            hint="for example `fraudctl produce --preset everyday --days 5 --speed 3600x`",
        )
    kafka = request.plain.settings.kafka
    if kafka.timestamp_type != "CreateTime":
        raise RefusedError(
            "a backfill says itself when its records arrived, and the topic is not one that believes it",
            detail=f"kafka.timestamp_type is {kafka.timestamp_type}",
            hint="bring up a stack with kafka.timestamp_type: CreateTime, or produce live with --rate",
        )
    # The first day begins up to one day more ago than the preset has days.
    if (request.preset.days + 1) * 24 > kafka.retention_hours:
        raise RefusedError(
            f"the topic keeps records for {kafka.retention_hours} hours, and this backfill reaches "
            f"{request.preset.days + 1} days back",
            hint=f"--days {max(1, kafka.retention_hours // 24 - 1)}, or a larger kafka.retention_hours",
        )


def produce_preset(request: PresetRequest, *, stop: StopFlag, observe: Observe) -> PresetProduced:
    """Send until the preset, the count or the time is over, or `stop` is set; then wait for delivery reports.

    Raises:
        UsageError: see `refuse_nonsense`.
        RefusedError: see `refuse_nonsense`; or the topic does not exist or has other settings.
        UnreachableError: no broker answers.
    """
    refuse_nonsense(request)
    labels_kafka = _prepared(request)
    plain = request.plain
    settings, servers = plain.settings, plain.bootstrap_servers
    seed = secrets.randbits(32) if plain.seed is None else plain.seed
    sender = _Live(request, seed) if request.speed is None else _Backfill(request, seed)
    run = sender.run
    with (
        RecordProducer(servers, settings.kafka, settings.producer) as events,
        RecordProducer(servers, labels_kafka, settings.producer) as labels,
    ):
        watch = Watch(events, seed, observe)
        began = time.monotonic()
        ended_by = sender.send(events, labels if request.labels else None, watch, stop)
        seconds = time.monotonic() - began
        deliveries = watch.settled()
        if request.speed is None and plain.rate is None:
            seconds = time.monotonic() - began
        early = run.labels.send(labels) if request.labels else 0
        labelled = labels.settle()
    return PresetProduced(
        topic=settings.kafka.topic,
        seed=seed,
        sent=deliveries.sent,
        acknowledged=deliveries.acknowledged,
        failed=deliveries.failed,
        errors=deliveries.errors,
        seconds=round(seconds, 3),
        rate_asked=plain.rate if request.speed is None else 0.0,
        rate_achieved=round((deliveries.sent - 1) / seconds, 2) if deliveries.sent > 1 else 0.0,
        anchor=rfc3339(run.anchor_ms),
        skipped_seconds=round(sender.skipped_seconds, 3),
        digest=run.digest,
        ended_by=ended_by,
        preset=request.name,
        speed=request.speed,
        transactions=run.transactions,
        fraud=sum(run.by_scenario.values()),
        by_scenario=run.by_scenario,
        faults=run.faults,
        fates=run.fates,
        labels_topic=labels_kafka.topic if request.labels else "",
        labels_sent=labelled.sent,
        labels_early=early,
        labels_failed=labelled.sent - labelled.acknowledged,
    )


def _prepared(request: PresetRequest) -> KafkaSettings:
    """Check the topics, create the labels' topic if it is missing, and return its settings."""
    settings, servers = request.plain.settings, request.plain.bootstrap_servers
    connect_seconds = settings.timeouts.connect_seconds
    topics.probe(servers, timeout_seconds=connect_seconds)
    topics.identity(servers, settings.kafka.topic, timeout_seconds=connect_seconds)
    if request.speed is not None:
        # The settings may say CreateTime while the existing topic does not.
        topics.ensure_topic(servers, settings.kafka, timeout_seconds=connect_seconds)
    labels = labels_settings(settings.kafka)
    if request.labels:
        topics.ensure_topic(servers, labels, timeout_seconds=connect_seconds)
    return labels


def labels_settings(kafka: KafkaSettings) -> KafkaSettings:
    """Return the settings of the labels' topic: one partition, and timestamps from the broker."""
    # Labels are few, and nothing depends on their order or on the producer's clock.
    return kafka.model_copy(
        update={"topic": kafka.labels_topic, "partitions": 1, "timestamp_type": "LogAppendTime"}
    )


class _Live:
    """A sender at a rate: every message is due at a time of the schedule, which is also its arrival."""

    def __init__(self, request: PresetRequest, seed: int) -> None:
        plain, preset = request.plain, request.preset
        if isinstance(preset, HabitsPreset) and not request.whole:
            preset = preset.model_copy(update={"days": LIVE_DAYS})
        self._rate = plain.rate
        self._limit = limit(plain.rate, plain.count, plain.duration_seconds)
        self._seconds = plain.duration_seconds or math.inf
        self._lag_limit = min(LAG_LIMIT_SECONDS, plain.settings.lateness.late_seconds / 4)
        self._stamps = Stamps()
        self.run = PresetRun(plain.settings, preset, seed, faults=request.faults, live=True, shift_days=0)
        # The first day is generated before the clock starts.
        self.run.rows.next_arrival_ms()
        self.skipped_seconds = 0.0

    def send(
        self, events: RecordProducer, labels: RecordProducer | None, watch: Watch, stop: StopFlag
    ) -> Ending:
        pace = schedule(self._rate, lag_limit_seconds=self._lag_limit)
        total, ending = self._limit
        number = 0
        while not stop.is_set and not events.broken:
            # Checked before sending, so that events due by the end of the time are still sent.
            time_is_up = pace.elapsed >= self._seconds
            due = min(pace.due(), total - number)
            self.skipped_seconds = pace.skipped_seconds
            while due:
                part = self.run.rows.take(due)
                if part is None:
                    return "end"
                now = pace.event_times_ms(number, len(part))
                self.run.send(self._stamps.at(part, np.array(now, dtype=np.int64)), events, stamped=False)
                number, due = number + len(part), due - len(part)
            if labels:
                self.run.labels.send(labels, int(time.time() * 1000))
            if number >= total:
                return ending
            if time_is_up:
                return "duration"
            events.poll()
            watch.look()
            stop.wait(pace.pause())
        return "failure" if events.broken else "stop"


class _Backfill:
    """A sender of a backfill: simulated time begins some days ago, and runs `speed` times as fast."""

    def __init__(self, request: PresetRequest, seed: int) -> None:
        plain, preset = request.plain, request.preset
        assert request.speed is not None
        self._speed = request.speed
        self._total = plain.count or math.inf
        self._seconds = plain.duration_seconds or math.inf
        back = days_back(preset.start_ms, preset.days, int(time.time() * 1000))
        self.run = PresetRun(plain.settings, preset, seed, faults=request.faults, live=False, shift_days=back)
        self.skipped_seconds = 0.0

    def send(
        self, events: RecordProducer, labels: RecordProducer | None, watch: Watch, stop: StopFlag
    ) -> Ending:
        first = self.run.rows.next_arrival_ms()
        began = time.monotonic()
        number = 0
        while not stop.is_set and not events.broken:
            due = self.run.rows.next_arrival_ms()
            if due is None or first is None:
                return "end"
            elapsed = time.monotonic() - began
            now = first + elapsed * self._speed * 1000
            part = self.run.rows.take(int(min(ROWS, self._total - number)), int(now) + 1)
            if part is not None:
                self.run.send(part, events, stamped=True)
                number += len(part)
            if labels:
                self.run.labels.send(labels, int(now))
            watch.look()
            if number >= self._total:
                return "count"
            if elapsed >= self._seconds:
                return "duration"
            if part is None:
                events.poll()
                until_due = (due - now) / (self._speed * 1000)
                stop.wait(min(LONGEST_PAUSE_SECONDS, max(TICK_SECONDS, until_due)))
        return "failure" if events.broken else "stop"
