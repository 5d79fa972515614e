"""Alerts out of the real query: each record that the rules alert on, and no other one, with its digest."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from fraudctl.recount.parse import Transaction, parser
from fraudctl.recount.raised import transaction_digest
from tests.support.streams import admitted, job, land

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
    first_arrivals = [
        {alert.amount_minor: alert.arrival_us // 1000 - ARRIVAL_MS for alert in content.alerts.values()}
        for content in landed
    ]
    # Of copies the first to arrive, in whichever partition; a later batch raises the same alert again.
    assert first_arrivals == [{15_001: 4, 15_002: 0}, {15_001: 20}]
    assert admitted(landed[0]) == {0: 2, 1: 3}
    parsed = parser(job(tmp_path).events)(dear)
    assert isinstance(parsed, Transaction)
    (alert,) = landed[1].alerts.values()
    assert alert.digest == transaction_digest(parsed)
    assert (alert.transaction_id, alert.event_time_us, alert.country, alert.channel) == (
        "dear",
        parsed.event_us,
        "DE",
        "pos",
    )
    assert (alert.score, alert.rules, alert.category) == (60, "high-amount", "Food")
