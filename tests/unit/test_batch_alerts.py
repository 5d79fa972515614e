"""Which alerts a batch brings: those of its records, and those by what their cards did before."""

import random
from typing import Any

import pytest
from pyspark.sql import Row

from fraudctl.database.landing import Alert
from fraudctl.detector.sink import alerts_of


def row(kind: str, partition: int, arrival_us: int, digest: str | None = "x", **changed: Any) -> Row:
    fields = dict.fromkeys(Alert.__dataclass_fields__) | {"category": "Food", "score": 50, "rules": "a"}
    own = {"kind": kind, "partition": partition, "arrival_us": arrival_us, "digest": digest, "alert": None}
    return Row(**fields | own | changed)


def flag(partition: int, arrival_us: int, rules: str, *, alert: bool = True, digest: str = "x") -> Row:
    return row("flag", partition, arrival_us, digest, rules=rules, alert=alert)


def found(rows: list[Row]) -> dict[str, tuple[int, str]]:
    """Digest to arrival and rules."""
    return {digest: (alert.arrival_us, alert.rules) for digest, alert in alerts_of(rows).items()}


@pytest.mark.parametrize(
    ("rows", "alert"),
    [
        ([row("intake", 0, 7, rules="a"), row("intake", 1, 5, rules="b")], (5, "b")),
        ([flag(0, 7, "a"), flag(1, 5, "b")], (5, "b")),
        ([flag(2, 5, "c"), flag(0, 5, "a"), flag(1, 5, "b")], (5, "a")),
        ([flag(0, 3, "a", alert=False), flag(1, 5, "b")], (5, "b")),
        ([flag(0, 3, "by-card"), row("intake", 1, 9, rules="by-itself")], (9, "by-itself")),
    ],
    ids=["first copy", "first by card", "lowest partition", "only what alerts", "by itself stands"],
)
def test_one_alert_a_transaction(rows: list[Row], alert: tuple[int, str]) -> None:
    """Whatever the order in which Spark gives them."""
    for seed in range(6):
        random.Random(seed).shuffle(rows)
        assert found(rows) == {"x": alert}


def test_what_raises_none_is_left_out() -> None:
    rows = [
        row("intake", 0, 1, None),
        row("window", 0, 1),
        flag(0, 1, "a", alert=False, digest="y"),
        flag(0, 2, "a", digest="z"),
    ]
    assert found(rows) == {"z": (2, "a")}
