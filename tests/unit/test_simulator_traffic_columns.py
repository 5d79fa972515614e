"""Traffic made in columns is the traffic that `Traffic` makes event by event, byte for byte."""

from itertools import islice

import pytest

from fraudctl.config.load import load
from fraudctl.events.codec import encode
from fraudctl.simulator.traffic import Traffic, TrafficDigest, stamp, stamp_lines
from fraudctl.simulator.traffic_columns import BLOCK, TrafficColumns, TrafficLines
from fraudctl.simulator.wire import Wire

SETTINGS = load(profile="local").settings
SOME_MS = 1_790_000_000_000


def one_by_one(count: int, seed: int, **changes: object) -> list[bytes]:
    producer = SETTINGS.producer.model_copy(update=changes)
    return [encode(event) for event in islice(Traffic(producer, SETTINGS.events, seed), count)]


def in_columns(parts: list[int], seed: int, **changes: object) -> list[bytes]:
    producer = SETTINGS.producer.model_copy(update=changes)
    columns = TrafficColumns(producer, SETTINGS.events, seed)
    wire = Wire(columns.names)
    return [line for count in parts for line in wire.values(columns.take(count))]


@pytest.mark.parametrize("fraud_rate", [0.0, 0.01, 0.4, 1.0])
@pytest.mark.parametrize("seed", [0, 7, 2**32 + 1, 2**63 - 1])
def test_every_line_is_what_the_codec_writes(fraud_rate: float, seed: int) -> None:
    parts = [1, 2, 997, 2000]
    assert in_columns(parts, seed, fraud_rate=fraud_rate) == one_by_one(3000, seed, fraud_rate=fraud_rate)


@pytest.mark.parametrize(
    "changes",
    [
        {"cards": 1, "merchants": 1},
        {"category_weights": {"Retail": 3.0, "Food": 0.0, "Electronics": 1.0}},
        {"category_weights": {"Food": 1.0}, "cards": 3},
    ],
)
def test_so_it_is_for_other_populations(changes: dict[str, object]) -> None:
    assert in_columns([1500], 7, fraud_rate=0.1, **changes) == one_by_one(1500, 7, fraud_rate=0.1, **changes)


def test_lines_come_in_their_order_with_their_cards_however_many_are_taken() -> None:
    expected = one_by_one(2 * BLOCK, 7)
    traffic = TrafficLines(SETTINGS.producer, SETTINGS.events, 7)
    keys, lines = [], []
    while len(lines) < len(expected):
        some_keys, some_lines = traffic.take(min(333, len(expected) - len(lines)))
        assert 1 <= len(some_lines) == len(some_keys) <= 333
        keys += some_keys
        lines += some_lines
    assert lines == expected
    assert all(b'"card_id":"%b"' % key in line for key, line in zip(keys, lines, strict=True))


def test_the_digest_of_a_seed_never_changes() -> None:
    digest = TrafficDigest()
    traffic = TrafficLines(SETTINGS.producer, SETTINGS.events, 7)
    for most in (400, 600):
        digest.add(traffic.take(most)[1])
    assert digest.hexdigest() == "5611a7344dbb28cf5a29b30e28f0356a9f2f7d408269497a193e6a5e1081ee1e"


def test_a_line_is_stamped_as_its_event_is() -> None:
    events = list(islice(Traffic(SETTINGS.producer, SETTINGS.events, 7), 300))
    times = [SOME_MS + number // 3 * 86_399_999 for number in range(300)]
    stamped = stamp_lines([encode(event) for event in events], times)
    assert stamped == [encode(stamp(event, time)) for event, time in zip(events, times, strict=True)]
