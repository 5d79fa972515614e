"""Which alerts a batch brings: those of its records, and those by what their cards did before."""

import random

import pytest

from fraudctl.database.flags import Flag
from fraudctl.database.landing import Alert
from fraudctl.detector.collect import alerts_of

WHAT = {
    "transaction_id": "t",
    "card_id": "c",
    "merchant_id": "m",
    "event_time_us": 0,
    "category": "Food",
    "amount_minor": 1,
    "currency": "EUR",
    "country": "DE",
    "channel": "pos",
    "score": 50,
}


def by_itself(arrival_us: int, rules: str) -> Alert:
    return Alert(digest="x", arrival_us=arrival_us, rules=rules, **WHAT)  # type: ignore[arg-type]


def flag(partition: int, arrival_us: int, rules: str, digest: str = "x") -> Flag:
    own = {"partition": partition, "digest": digest, "arrival_us": arrival_us, "rules": rules, "alone": True}
    return Flag(**WHAT | own)  # type: ignore[arg-type]


def found(alerts: list[Alert], flags: list[Flag]) -> dict[str, tuple[int, str]]:
    """Digest to arrival and rules."""
    return {digest: (alert.arrival_us, alert.rules) for digest, alert in alerts_of(alerts, flags).items()}


@pytest.mark.parametrize(
    ("alerts", "flags", "expected"),
    [
        ([by_itself(7, "a"), by_itself(5, "b")], [], (5, "b")),
        ([], [flag(0, 7, "a"), flag(1, 5, "b")], (5, "b")),
        ([], [flag(2, 5, "c"), flag(0, 5, "a"), flag(1, 5, "b")], (5, "a")),
        ([by_itself(9, "by-itself")], [flag(0, 3, "by-card")], (9, "by-itself")),
    ],
    ids=["first copy", "first by card", "lowest partition", "by itself stands"],
)
def test_one_alert_a_transaction(alerts: list[Alert], flags: list[Flag], expected: tuple[int, str]) -> None:
    """Whatever the order in which they come."""
    for seed in range(6):
        random.Random(seed).shuffle(alerts)
        random.Random(seed).shuffle(flags)
        assert found(alerts, flags) == {"x": expected}


def test_each_transaction_has_its_own() -> None:
    alerts = found([by_itself(1, "a")], [flag(0, 2, "b", digest="z")])
    assert alerts == {"x": (1, "a"), "z": (2, "b")}
