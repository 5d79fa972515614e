"""Recount and Spark on random logs: two implementations of one specification, that share no code.

The seeds are drawn by hypothesis without chance (`derandomize`): every run tries the same logs, and a log on
which the two disagree is named by its seed. One streaming query costs seconds, so each log is long.
"""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from fraudctl.config.load import load
from fraudctl.config.rules_file import read_rules_document
from fraudctl.recount.recount import Record, Recount
from fraudctl.rules.model import parse_rules
from tests.golden import MESSAGES, value_bytes
from tests.support.bars import Bar
from tests.support.recounts import recount_both
from tests.support.streams import admitted, job, land, rejected, taken_in, windows_of

pytestmark = pytest.mark.spark

SETTINGS = load().settings
RULES = parse_rules(read_rules_document(SETTINGS.rules.file))
BEGIN_MS = 1_773_144_000_000
GOOD: dict[str, Any] = json.loads(MESSAGES[0]["value"])
CORPUS = [value for case in MESSAGES if (value := value_bytes(case)) and len(value) < 2_000]
SEEDS = st.integers(0, 2**32)
FEW = settings(
    max_examples=3, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
SLOW = settings(FEW, max_examples=8)

Row = tuple[bytes | None, int, int, int]


def recounted(rows: list[Row]) -> Recount:
    log: list[Record] = [(partition, offset, arrival, value) for value, partition, offset, arrival in rows]
    return recount_both(
        log, events=SETTINGS.events, windows=SETTINGS.windows, lateness=SETTINGS.lateness, rules=RULES
    )


def instant(chance: random.Random, ms: int) -> str:
    """The same moment as one of the many texts that mean it."""
    zone = timezone(timedelta(minutes=chance.choice([0, 0, 0, 60, -300, 345, 630, -210, 840])))
    moment = datetime.fromtimestamp(ms / 1000, UTC) + timedelta(microseconds=chance.choice([0, 0, 1, 999]))
    text = moment.astimezone(zone).isoformat(timespec=chance.choice(["milliseconds", "microseconds"]))
    return text.replace("+00:00", chance.choice(["Z", "+00:00", "-00:00"]))


def event(chance: random.Random, arrival_ms: int) -> dict[str, object]:
    """Few ids, cards and amounts, so that copies, conflicts and rules all happen; lags around both bounds."""
    lag_ms = chance.choice(
        [
            0,
            1_000,
            60_000,
            299_999,
            300_000,
            300_001,
            -119_999,
            -120_000,
            -120_001,
            chance.randint(-130_000, 310_000),
        ]
    )
    return {
        **GOOD,
        "transaction_id": f"t-{chance.randint(0, 120)}",
        "event_time": instant(chance, arrival_ms - lag_ms),
        "category": chance.choice(["Retail", "Food", "Electronics", "Electronics", "Toys"]),
        "amount_minor": chance.choice([1, 100, 19_999, 20_000, 20_001, 500_000, 10_000_000_000, 0]),
        "country": chance.choice(["DE", "FR", "US", "NG"]),
        "channel": chance.choice(["pos", "ecom", "atm"]),
    }


def random_log(seed: int, size: int) -> list[list[Row]]:
    """Three batches over three partitions; offsets in a row per partition, arrivals within minutes."""
    chance = random.Random(seed)
    offsets: Counter[int] = Counter()
    written: list[bytes] = []
    batches: list[list[Row]] = []
    for number in range(3):
        rows: list[Row] = []
        for _ in range(size):
            arrival = BEGIN_MS + number * 60_000 + chance.randint(0, 60_000)
            partition = chance.randint(0, 2)
            if written and chance.random() < 0.25:
                value: bytes | None = chance.choice(written)
            elif chance.random() < 0.1:
                value = chance.choice(CORPUS)
            else:
                value = json.dumps(event(chance, arrival), ensure_ascii=chance.random() < 0.5).encode()
                written.append(value)
            rows.append((value, partition, offsets[partition], arrival))
            offsets[partition] += 1
        batches.append(rows)
    return batches


def agree_on_a_log(spark: SparkSession, seed: int) -> Counter[str]:
    """How many records, copies, conflicts and windows they agreed on."""
    batches = random_log(seed, 250)
    with TemporaryDirectory() as folder:
        landed = land(spark, Path(folder), batches)
    found_windows: dict[tuple[int, int, str], tuple[int, int, int, int]] = {}
    found_rejects: dict[tuple[int, int], str] = {}
    found_admitted: Counter[int] = Counter()
    for content in landed:
        found_windows |= windows_of(content)
        found_rejects |= rejected(content)
        found_admitted.update(admitted(content))
    expected = recounted([row for batch in batches for row in batch])
    assert found_rejects == expected.rejects
    assert found_windows == {
        tuple(key): (each.count, each.flagged_count, each.amount_minor, each.flagged_amount_minor)
        for key, each in expected.windows.items()
    }
    for partition, fates in expected.fates.items():
        assert found_admitted[partition] == fates["counted"] + fates["duplicate"]
    # The log was worth it: copies, conflicts across partitions, refusals and flagged events were there.
    assert expected.fate("duplicate") > 20
    assert conflicts_across_partitions(batches, expected) > 5
    assert len(set(expected.rejects.values())) > 4
    assert any(each.flagged_count for each in expected.windows.values())
    return Counter(
        logs=1,
        records=expected.read,
        copies=expected.fate("duplicate"),
        conflicts=len(expected.conflicts),
        windows=len(expected.windows),
    )


def conflicts_across_partitions(batches: list[list[Row]], expected: Recount) -> int:
    """How many of the ids with several payloads had them on several partitions."""
    places: dict[str, set[int]] = {}
    for value, partition, offset, _ in (row for batch in batches for row in batch):
        if (partition, offset) not in expected.rejects:
            places.setdefault(json.loads(value or b"")["transaction_id"], set()).add(partition)
    return sum(len(places[name]) > 1 for name in expected.conflicts)


@FEW
@given(seed=SEEDS)
def test_windows_refusals_and_conflicts_of_random_logs(spark: SparkSession, seed: int) -> None:
    agree_on_a_log(spark, seed)


@pytest.mark.slow
@pytest.mark.bar(14, "recount and Spark on 8 random logs, copies and conflicts", target="diff 0 on every log")
def test_many_random_logs(spark: SparkSession, bar: Bar) -> None:
    found: Counter[str] = Counter()

    @SLOW
    @given(seed=SEEDS)
    def agree(seed: int) -> None:
        found.update(agree_on_a_log(spark, seed))

    agree()
    bar(f"diff 0 on {', '.join(f'{number:,} {what}' for what, number in found.items())}")


# What a mutation may put anywhere: the characters that JSON, numbers, escapes and UTF-8 hang on.
PIECES = [
    *(bytes([byte]) for byte in b'{}[]":,\\/ \t\r\n0123456789.-+eEuntbfr\x00\x1f\x7fZT'),
    *(
        b"\xc2\xa0",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\xff",
        b"\xc0\x80",
        b"\xf0\x9f\x92\xb3",
        b"\xed\xa0\x80",
    ),
    *(b"\\u0041", b"\\u0000", b"\\ud83d\\udcb3", b"\\ud800", b"NaN", b"null", b"true", b"1e400", b'"a":1,'),
]


def mutated(chance: random.Random) -> bytes:
    value = bytearray(chance.choice(CORPUS))
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        place = chance.randint(0, len(value))
        length = chance.choice([0, 0, 1, 1, 2, 8])
        value[place : place + length] = chance.choice([b"", *PIECES])
    return bytes(value)


@settings(FEW, max_examples=4)
@given(seed=SEEDS)
def test_every_mutated_message_gets_the_same_reason(
    spark: SparkSession, tmp_path_factory: Any, seed: int
) -> None:
    """The golden messages, damaged in a few places: 3,000 for each seed."""
    chance = random.Random(seed)
    rows: list[Row] = [(mutated(chance), 0, number, BEGIN_MS) for number in range(3_000)]
    _, content = taken_in(spark, job(tmp_path_factory.mktemp("job")), rows)
    found = {offset: reason for (_, offset), reason in rejected(content).items()}
    expected = {offset: reason for (_, offset), reason in recounted(rows).rejects.items()}
    different = [
        (rows[offset][0], expected.get(offset), found.get(offset))
        for offset in range(len(rows))
        if expected.get(offset) != found.get(offset)
    ]
    assert not different, different[:5]
    assert 0 < len(expected) < len(rows)
