"""Alerts out of the real query: each record that the rules alert on, and no other one, with its digest."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from fraudctl.recount.parse import Transaction, parser
from fraudctl.recount.raised import transaction_digest
from tests.spark.streams import admitted, job, land

pytestmark = pytest.mark.spark

ARRIVAL_MS = 1_773_144_000_000


def event(name: str, amount: int, **changed: object) -> bytes:
    plain = {
        "schema_version": 1,
        "transaction_id": name,
        "event_time": "2026-03-10T13:00:00.25+01:00",
        "card_id": "c-1",
        "merchant_id": "m-1",
        "category": "Food",
        "amount_minor": amount,
        "currency": "EUR",
        "country": "DE",
        "channel": "pos",
    }
    return json.dumps(plain | changed).encode()


def test_alerts_travel_beside_the_windows(spark: SparkSession, tmp_path: Path) -> None:
    dear = event("dear", 15_001)
    first = [
        (event("cheap", 15_000), 0, 0, ARRIVAL_MS),
        (dear, 0, 1, ARRIVAL_MS + 9),
        (dear, 1, 0, ARRIVAL_MS + 4),
        (dear, 1, 1, ARRIVAL_MS + 5),
        (event("dear", 15_002), 1, 2, ARRIVAL_MS),
        (event("foreign", 99_999, currency="USD"), 1, 3, ARRIVAL_MS),
        (event("late", 99_999), 1, 4, ARRIVAL_MS + 400_000),
    ]
    second = [(dear, 0, 2, ARRIVAL_MS + 20)]
    landed = land(spark, tmp_path, [first, second])
    raised = [
        sorted((row.amount_minor, row.partition, row.arrival_us // 1000 - ARRIVAL_MS, row["count"]))
        for row in landed[0]
        if row.kind == "intake" and row.digest
    ]
    assert sorted(raised) == sorted(
        map(sorted, [(15_001, 0, 9, 1), (15_001, 1, 4, 2), (15_002, 1, 0, 1)])  # type: ignore[arg-type]
    )
    assert [row.arrival_us // 1000 - ARRIVAL_MS for row in landed[1] if row.digest] == [20]
    assert admitted(landed[0]) == {0: 2, 1: 3}
    parsed = parser(job(tmp_path).events)(dear)
    assert isinstance(parsed, Transaction)
    row = next(row for row in landed[1] if row.digest)
    assert row.digest == transaction_digest(parsed)
    assert (row.transaction_id, row.event_time_us, row.country, row.channel) == (
        "dear",
        parsed.event_us,
        "DE",
        "pos",
    )
    assert (row.score, row.rules, row.category) == (60, "high-amount", "Food")
