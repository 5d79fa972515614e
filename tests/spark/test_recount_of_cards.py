"""Recount and Spark on what cards did: flags and alerts of random logs, while the rules change."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from fraudctl.config.load import load
from fraudctl.detector.collect import BatchContent
from fraudctl.recount.recount import NO_WATERMARK, Recount
from fraudctl.rules.model import RuleSet, parse_rules
from tests.spark.test_cards import BATCHES, BEGIN_MS, MINUTES, One, random_log, random_rules, read
from tests.support.recounts import recount_both
from tests.support.streams import land

pytestmark = pytest.mark.spark

SETTINGS = load().settings


def rows_of(log: list[One], batches: int) -> list[list[tuple[bytes | None, int, int, int]]]:
    """As `land` takes them; offsets count through the whole log, which is sound within each partition."""
    return [
        [
            (one.value, one.partition, place, one.arrival_ms)
            for place, one in enumerate(log)
            if one.batch == batch
        ]
        for batch in range(batches)
    ]


def recounted(
    log: list[One], sets: list[RuleSet], horizon_seconds: int, watermarks: dict[int, int] | None = None
) -> Recount:
    """`watermarks`: by batch, up to which instant (µs) Spark drops what comes."""
    return recount_both(
        [(one.partition, place, one.arrival_ms, one.value) for place, one in enumerate(log)],
        events=SETTINGS.events,
        windows=SETTINGS.windows,
        lateness=SETTINGS.lateness,
        rules=sets,
        card_horizon_seconds=horizon_seconds,
        batch_of=lambda _partition, offset: log[offset].batch,
        watermark=lambda _partition, offset: (watermarks or {}).get(log[offset].batch, NO_WATERMARK),
    )


def agree(landed: list[BatchContent], expected: Recount) -> Counter[str]:
    """What was landed, batch after batch, is what the recount says there must be in the end."""
    flags: dict[tuple[int, str], tuple[Any, ...]] = {}
    alerts: dict[str, tuple[Any, ...]] = {}
    for batch, content in enumerate(landed):
        for key, (rules, score, alone, _alert, arrival_us, one) in read(content).items():
            flags[key] = (batch, arrival_us, rules, score, alone, one.name, one.card)
        for digest, alert in content.alerts.items():
            alerts.setdefault(digest, (batch, alert.arrival_us, alert.rules, alert.score))
    assert flags == {
        key: (
            one.place,
            one.arrival_ms * 1000,
            ",".join(one.verdict.rules),
            one.verdict.score,
            one.alone,
            one.transaction.transaction_id,
            one.transaction.card_id,
        )
        for key, one in expected.marked.items()
    }
    assert alerts == {
        digest: (one.place, one.arrival_ms * 1000, ",".join(one.verdict.rules), one.verdict.score)
        for digest, one in expected.raised.items()
    }
    return Counter(flags=len(flags), alone=sum(flag[4] for flag in flags.values()), alerts=len(alerts))


@pytest.mark.parametrize(
    "seed", [100, 101, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (102, 103))]
)
def test_flags_and_alerts_of_random_logs(spark: SparkSession, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    log = random_log(draw)
    first, second, third = (parse_rules(random_rules(draw)) for _ in range(3))
    sets = [first, second, second, parse_rules(random_rules(draw, carded=False)), third, first]
    landed = land(spark, tmp_path, rows_of(log, BATCHES), sets, MINUTES * 60)
    expected = recounted(log, sets, MINUTES * 60)
    found = agree(landed, expected)
    assert found["flags"] > 100
    assert 0 < found["alone"] < found["flags"]
    assert len({one.place for one in expected.marked.values()}) > 2
    assert set(expected.raised) & {digest for _, digest in expected.marked}


def test_what_comes_for_a_window_that_has_ended_is_not_seen_there(
    spark: SparkSession, tmp_path: Path
) -> None:
    """As producers' clocks can make it that go back; H is ten minutes, the watermark stands at +105 min."""
    begin_us = BEGIN_MS * 1000 // 600_000_000 * 600_000_000

    def one(name: str, minutes: float, batch: int) -> One:
        event_us = begin_us + round(minutes * 60_000_000)
        return One(event_us, "c", "m", "Food", 1, "DE", name, arrival_ms=event_us // 1000, batch=batch)

    log = [
        *(one(f"early-{number}", 70 + number, 0) for number in range(45)),
        one("later", 120, 1),
        one("later-still", 119, 2),
        one("now-it-stands", 118, 3),
        # Windows end at +90, +100, +110 and so on: of the two that each lies in both, one or none have ended.
        *(one(f"late-{minutes}", minutes, 4) for minutes in (79.5, 84.5, 89.5, 94.5, 99.5, 104.5, 109.5)),
    ]
    rules = parse_rules(
        {
            "rules": [
                {"id": "often", "reason": "often", "when": {"card": {"within_minutes": 10, "count_over": 10}}}
            ]
        }
    )
    landed = land(spark, tmp_path, rows_of(log, 5), [rules] * 5, 600)
    watermark = begin_us + 105 * 60_000_000
    expected = recounted(log, [rules] * 5, 600, {4: watermark})
    agree(landed, expected)
    all_seen = recounted(log, [rules] * 5, 600)
    again = {one.transaction.transaction_id for one in expected.marked.values() if one.place == 4}
    late = {name for name in again if name.startswith("late")}
    assert late == {"late-104.5", "late-109.5"}, "of the others the window that would judge them has ended"
    assert len(all_seen.marked) > len(expected.marked), "the watermark has made a difference"
