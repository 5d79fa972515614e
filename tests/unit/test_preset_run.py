"""What goes to Kafka of a preset: records with keys, labels in time, digests that no clock can change."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fraudctl.broker.producer import RecordProducer
from fraudctl.clock import StopFlag
from fraudctl.config.load import load
from fraudctl.config.preset_file import read_preset_document
from fraudctl.errors import FraudctlError, RefusedError, UsageError
from fraudctl.operations.produce.preset import PresetRequest, produce_preset
from fraudctl.operations.produce.preset_run import PresetRun
from fraudctl.operations.produce.steady import ProduceRequest
from fraudctl.simulator.clocks import Stamps
from fraudctl.simulator.labels import HOUR_MS
from fraudctl.simulator.preset import parse_preset

SETTINGS = load(profile="local").settings
BELIEVES = load(profile="local", flags={"kafka.timestamp_type": "CreateTime"}).settings


class Client:
    """Takes records as librdkafka's client does, and acknowledges nothing."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes, int]] = []

    def produce(self, _topic: str, value: bytes, key: bytes, *rest: Any) -> None:
        self.records.append((key, value, rest[3]))

    def poll(self, _seconds: float) -> int:
        return 0


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def producer(client: Client) -> RecordProducer:
    make: Callable[[Any], Any] = lambda keys: client  # noqa: E731
    return RecordProducer("", SETTINGS.kafka, SETTINGS.producer, make_client=make)


def run(*, name: str = "everyday", faults: bool = False, live: bool = False, **changes: object) -> PresetRun:
    changes = {"days": 1, "cards": 400, "fraud_rate": 0.05} | changes
    preset = parse_preset(read_preset_document(name), changes)
    return PresetRun(SETTINGS, preset, 7, faults=faults, live=live, shift_days=3)


def send_all(made: PresetRun, producer: RecordProducer, *, most: int = 100, stamped: bool = True) -> None:
    while (part := made.rows.take(most)) is not None:
        made.send(part, producer, stamped=stamped)


def test_records_have_the_card_as_key_and_their_arrival_as_timestamp(
    client: Client, producer: RecordProducer
) -> None:
    made = run()
    send_all(made, producer)
    assert len(client.records) == made.transactions > 500
    for key, value, timestamp in client.records:
        event = json.loads(value)
        assert event["card_id"].encode() == key
        assert int(event["transaction_id"].replace("-", "")[:12], 16) == timestamp


def test_live_records_leave_the_time_to_the_broker(client: Client, producer: RecordProducer) -> None:
    send_all(run(), producer, stamped=False)
    assert {timestamp for _, _, timestamp in client.records} == {0}


def test_the_digest_knows_neither_clock_nor_cut(client: Client, producer: RecordProducer) -> None:
    backfill, live = run(), run(live=True)
    send_all(backfill, producer)
    stamps, number = Stamps(), 0
    while (part := live.rows.take(7)) is not None:
        now = 1_790_000_000_000 + np.arange(number, number + len(part)) * 13
        live.send(stamps.at(part, now), producer, stamped=False)
        number += len(part)
    assert backfill.digest == live.digest


def test_the_account_adds_up(client: Client, producer: RecordProducer) -> None:
    made = run(name="rough", faults=True)
    send_all(made, producer)
    assert sum(made.fates.values()) == len(client.records)
    assert made.fates["duplicate"] == made.faults["duplicates"] > 0
    assert len(client.records) == made.transactions + made.faults["duplicates"]
    assert 0 < sum(made.by_scenario.values()) < made.transactions


def test_live_faults_have_no_pauses_and_no_bursts(producer: RecordProducer) -> None:
    made = run(name="rough", faults=True, live=True)
    send_all(made, producer)
    assert made.faults["held_back"] == made.faults["in_bursts"] == 0
    assert made.faults["late"] == made.fates["late"] > 0


def test_a_label_leaves_when_it_may_be_known_and_not_before(client: Client, producer: RecordProducer) -> None:
    made = run(label_delay_hours=(1, 5))
    part = made.rows.take(100_000)
    assert part is not None
    made.labels.add(part)
    first = int(part.batch.time_ms.min())
    assert made.labels.send(producer, first + HOUR_MS) == 0
    some = made.labels.send(producer, first + 12 * HOUR_MS)
    rest = made.labels.send(producer)
    assert some > 0 < rest
    assert some + rest == int(part.batch.fraud.sum())
    reported = [json.loads(value)["reported_at"] for _, value, _ in client.records]
    assert reported == sorted(reported)


def request(
    settings: Any = SETTINGS, *, rate: float = 100.0, name: str = "everyday", **more: Any
) -> PresetRequest:
    preset = parse_preset(read_preset_document(name), {"days": more.pop("days", 2)})
    return PresetRequest(ProduceRequest(settings, "", rate), name, preset, **more)


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        (request(rate=0), UsageError, "rate must be above 0"),
        (request(BELIEVES, speed=-1.0), UsageError, "speed must be above 0"),
        (request(BELIEVES, speed=float("inf")), UsageError, "at most"),
        (request(faults=True), UsageError, "has no faults"),
        (request(speed=60.0), RefusedError, "believes"),
        (request(BELIEVES, speed=60.0, days=28), RefusedError, "168 hours"),
    ],
)
def test_nonsense_is_refused(asked: PresetRequest, kind: type[FraudctlError], words: str) -> None:
    with pytest.raises(kind, match=words):
        produce_preset(asked, stop=StopFlag(), observe=lambda progress: None)
