"""Rules on a card's past out of the real query, on random logs, against the definition taken literally.

The oracle takes fraudctl/rules/model.py at its word: for every transaction that a batch has to judge it goes
through all that was read of the card, and shares no code with anybody.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from fraudctl.detector.collect import BatchContent
from fraudctl.rules.model import parse_rules
from tests.support import forests
from tests.support.streams import job, land

pytestmark = pytest.mark.spark

BEGIN_MS = 1_773_144_000_000
MINUTES = 4
BATCHES = 6
RECORDS = 130
COUNTRIES, CATEGORIES, MERCHANTS = ["DE", "FR", "US"], ["Food", "Retail"], ["m-1", "m-2", "m-3", "m-4"]


@cache
def hashed(fields: tuple[object, ...]) -> str:
    return sha256("\x1f".join(map(str, fields)).encode()).hexdigest()


@dataclass(frozen=True)
class One:
    """A record: what it says, and where and when it was read."""

    event_us: int
    card: str
    merchant: str
    category: str
    amount: int
    country: str
    name: str
    partition: int = 0
    arrival_ms: int = 0
    batch: int = 0

    @property
    def digest(self) -> str:
        fields = (1, self.name, self.event_us, self.card, self.merchant, self.category, self.amount, "EUR")
        return hashed((*fields, self.country, "pos"))

    @property
    def value(self) -> bytes:
        moment = datetime.fromtimestamp(self.event_us / 1_000_000, UTC)
        said = {
            "schema_version": 1,
            "transaction_id": self.name,
            "event_time": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "card_id": self.card,
            "merchant_id": self.merchant,
            "category": self.category,
            "amount_minor": self.amount,
            "currency": "EUR",
            "country": self.country,
            "channel": "pos",
        }
        return json.dumps(said).encode()


def random_log(draw: random.Random) -> list[One]:
    """Few cards, seconds, partitions and amounts; copies, late ones, and records far out of order."""
    log: list[One] = []
    for batch in range(BATCHES):
        for number in range(RECORDS):
            # Batches overlap in time: what comes in one may lie before what came in another.
            arrival = BEGIN_MS + batch * 200_000 + draw.randint(0, 400_000)
            if log and draw.random() < 0.2:
                old = draw.choice(log[-2 * RECORDS :])
                said = {**old.__dict__, "partition": draw.choice([old.partition, draw.randint(0, 2)])}
            else:
                lag = draw.choice([0, 0, 5_000, 60_000, 299_000, 301_000, -119_000, draw.randint(0, 300_000)])
                event_us = (arrival - lag) // 1000 * 1_000_000
                if draw.random() < 0.5:  # on whole minutes, where windows begin
                    event_us = (arrival - lag) // 60_000 * 60_000_000
                said = {
                    "event_us": event_us + draw.choice([0, 0, 1, -1]),
                    "card": f"c-{draw.randint(0, 3)}",
                    "merchant": draw.choice(MERCHANTS),
                    "category": draw.choice(CATEGORIES),
                    "amount": draw.choice([1, 100, 5_000]),
                    "country": draw.choice(COUNTRIES),
                    "name": f"t-{batch}-{number}",
                    "partition": draw.randint(0, 2),
                }
            log.append(One(**{**said, "arrival_ms": arrival, "batch": batch}))
    return log


def admitted(one: One) -> bool:
    return -120_000_000 <= one.arrival_ms * 1000 - one.event_us <= 300_000_000


def random_rules(draw: random.Random, *, carded: bool = True) -> dict[str, Any]:
    rules: list[dict[str, Any]] = []
    for place in range(draw.randint(3, 5)):
        when: dict[str, Any] = {}
        if draw.random() < 0.4 or place == 0:
            when["categories"] = [draw.choice(CATEGORIES)]
        if draw.random() < 0.3 or not carded:
            when["amount_over"] = draw.choice([50, 1_000])
        if carded and place > 0:
            limits = {
                "count_over": draw.randint(2, 8),
                "sum_over": draw.choice([5_000, 10_100, 30_000]),
                "countries_over": draw.choice([1, 2]),
                "merchants_over": draw.choice([1, 2, 3]),
                "since_previous_under_seconds": draw.choice([1, 7, 30, 60]),
            }
            asked = draw.sample(sorted(limits), draw.choice([1, 1, 2, 3]))
            when["card"] = {
                "within_minutes": draw.randint(1, MINUTES),
                **{name: limits[name] for name in asked},
            }
            if draw.random() < 0.25:
                when["model"] = {"forest": random_forest(draw), "score_over": draw.randint(30, 80)}
                del when["card"]
            elif draw.random() < 0.25:
                itself = forests.drawn(draw, {"amount_minor": [1, 100], "category=Food": [0]})
                when["model"] = {"forest": itself, "score_over": draw.randint(10, 60)}
        rules.append(
            {
                "id": f"rule-{place}",
                "reason": "drawn",
                "weight": draw.randint(0, 60),
                "action": draw.choice(["flag", "flag", "alert"]),
                "enabled": draw.random() < 0.85,
                "when": when,
            }
        )
    return {"rules": rules, **({"alert_score": draw.randint(30, 100)} if draw.random() < 0.5 else {})}


def random_forest(draw: random.Random) -> dict[str, Any]:
    limits = {
        "amount_minor": [1, 100],
        "category=Food": [0],
        "card_count": [1, 2, 4, 6],
        "card_sum_minor": [100, 5_000, 10_100],
        "card_countries": [1, 2],
        "card_merchants": [1, 2, 3],
        "card_since_previous_seconds": [0, 6, 30, 60],
    }
    return forests.drawn(draw, limits, within_minutes=draw.randint(1, MINUTES))


def within(when: dict[str, Any]) -> int:
    """How many minutes it looks back, 0 if it does not."""
    forest = when.get("model", {}).get("forest", {})
    found: int = when.get("card", forest).get("within_minutes", 0)
    return found


def scores_over(model: dict[str, Any], known: dict[str, int]) -> bool:
    return forests.score(model["forest"], known) > model["score_over"] * 10_000


def holds(when: dict[str, Any], one: One, history: dict[str, One]) -> bool:
    if one.category not in when.get("categories", CATEGORIES) or one.amount <= when.get("amount_over", 0):
        return False
    if "model" in when and "within_minutes" not in when["model"]["forest"]:
        itself = {"amount_minor": one.amount, "category=Food": int(one.category == "Food")}
        if not scores_over(when["model"], itself):
            return False
    if not within(when):
        return True
    place = (one.event_us, one.digest)
    after = one.event_us - within(when) * 60_000_000
    past = [
        each for digest, each in history.items() if (each.event_us, digest) <= place and each.event_us > after
    ]
    before = [each.event_us for each in past if each.digest != one.digest]
    gap_us = one.event_us - max(before) if before else 2**62
    if "card" not in when:
        known = {
            "amount_minor": one.amount,
            "category=Food": int(one.category == "Food"),
            "card_count": len(past),
            "card_sum_minor": sum(each.amount for each in past),
            "card_countries": len({each.country for each in past}),
            "card_merchants": len({each.merchant for each in past}),
            "card_since_previous_seconds": gap_us // 1_000_000 if before else within(when) * 60,
        }
        return scores_over(when["model"], known)
    card = when["card"]
    return (
        len(past) > card.get("count_over", 0)
        and sum(each.amount for each in past) > card.get("sum_over", 0)
        and len({each.country for each in past}) > card.get("countries_over", 0)
        and len({each.merchant for each in past}) > card.get("merchants_over", 0)
        and gap_us < card.get("since_previous_under_seconds", 2**45) * 1_000_000
    )


Flag = tuple[str, int, bool, bool, int, One]


def expected(
    log: list[One], sets: list[dict[str, Any]], late_before_us: list[int]
) -> Iterator[dict[tuple[int, str], Flag]]:
    """Of each batch: (partition, digest) to rules, score, alone, alert, arrival (µs) and transaction.

    A transaction is judged on the window in whose second half it lies; a window is closed to what comes when
    the watermark has passed its end.
    """
    horizon_us = MINUTES * 60_000_000
    known: dict[tuple[int, str, int], dict[str, One]] = {}
    for batch, document in enumerate(sets):
        touched: set[tuple[int, str, int]] = set()
        for one in log:
            if one.batch != batch or not admitted(one):
                continue
            slot = one.event_us // horizon_us
            for window in (slot - 1, slot):
                if (window + 2) * horizon_us > late_before_us[batch]:
                    key = (one.partition, one.card, window)
                    before = known.setdefault(key, {}).get(one.digest, one)
                    known[key][one.digest] = min(before, one, key=lambda each: each.arrival_ms)
                    touched.add(key)
        found: dict[tuple[int, str], Flag] = {}
        rules = [rule for rule in document["rules"] if rule["enabled"]]
        for key in touched:
            history = known[key]
            for digest, one in history.items():
                if one.event_us // horizon_us != key[2] + 1:
                    continue
                matching = [rule for rule in rules if holds(rule["when"], one, history)]
                if not any(within(rule["when"]) for rule in matching):
                    continue
                score = min(100, sum(rule["weight"] for rule in matching))
                alert = any(rule["action"] == "alert" for rule in matching)
                found[one.partition, digest] = (
                    ",".join(rule["id"] for rule in matching),
                    score,
                    all(within(rule["when"]) for rule in matching),
                    alert or score >= document.get("alert_score", 101),
                    one.arrival_ms * 1000,
                    replace(one, partition=0, arrival_ms=0, batch=0),
                )
        yield found


def read(content: BatchContent) -> dict[tuple[int, str], Flag]:
    found: dict[tuple[int, str], Flag] = {}
    for flag, alert in content.flags.items():
        key = (flag.partition, flag.digest)
        assert key not in found, "a batch judges each transaction once"
        assert (flag.currency, flag.channel) == ("EUR", "pos")
        one = One(
            flag.event_time_us,
            flag.card_id,
            flag.merchant_id,
            flag.category,
            flag.amount_minor,
            flag.country,
            flag.transaction_id,
        )
        found[key] = (flag.rules, flag.score, flag.alone, alert, flag.arrival_us, one)
    return found


def agree(
    spark: SparkSession, folder: Path, log: list[One], sets: list[dict[str, Any]]
) -> tuple[Counter[str], list[int]]:
    """How many flags Spark and the oracle agreed on; and behind which watermark each batch dropped."""
    batches = [
        [
            (one.value, one.partition, place, one.arrival_ms)
            for place, one in enumerate(log)
            if one.batch == batch
        ]
        for batch in range(len(sets))
    ]
    late_before_us: list[int] = []
    rules = [parse_rules(one) for one in sets]
    landed = land(spark, folder, batches, rules, MINUTES * 60, late_before_us)
    assert len(landed) == len(batches)
    tally: Counter[str] = Counter()
    for number, wanted in enumerate(expected(log, sets, late_before_us)):
        found = read(landed[number])
        assert found == wanted, f"batch {number} under {sets[number]}"
        tally.update(flags=len(found), alone=sum(flag[2] for flag in found.values()))
        tally.update(alerts=sum(flag[3] for flag in found.values()))
    return tally, late_before_us


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_flags_of_random_logs(spark: SparkSession, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    log = random_log(draw)
    first, second, third = (random_rules(draw), random_rules(draw), random_rules(draw))
    # One of the changes is to rules of which none looks back: the state must stay all the same.
    sets = [first, second, second, random_rules(draw, carded=False), third, first]
    tally, late_before_us = agree(spark, tmp_path, log, sets)
    assert tally["flags"] > 200
    assert 0 < tally["alone"] < tally["flags"]
    assert tally["alerts"] > 10
    # No admitted record was behind the watermark, and yet windows came to their end.
    assert all(one.event_us > late_before_us[one.batch] for one in log if admitted(one))
    assert late_before_us[-1] > min(one.event_us for one in log)


def test_windows_that_the_watermark_has_passed_are_closed(spark: SparkSession, tmp_path: Path) -> None:
    """Where a clock is believed, a record may be admitted behind the watermark: Spark drops it from windows
    that have ended, and takes it into the other of its two if that one has not.
    """
    draw = random.Random(11)
    log = random_log(draw)
    late = [replace(one, batch=BATCHES) for one in draw.sample(log, 200)]
    # So far ahead that the last batch finds the watermark between the oldest records and the newest.
    passed = sorted(one.event_us for one in log)[len(log) // 2] + 900_000_000
    ahead = replace(log[0], event_us=passed, arrival_ms=passed // 1000, batch=BATCHES - 2)
    rules = random_rules(draw)
    tally, late_before_us = agree(spark, tmp_path, [*log, ahead, *late], [rules] * (BATCHES + 1))
    behind = [one for one in late if admitted(one) and one.event_us <= late_before_us[-1]]
    assert 0 < len(behind) < len(late)
    assert tally["flags"] > 100


def test_without_a_horizon_there_is_no_state_of_cards(spark: SparkSession, tmp_path: Path) -> None:
    """And with one there is, whatever the rules are."""
    one = One(BEGIN_MS * 1000, "c", "m-1", "Food", 1, "DE", "t", arrival_ms=BEGIN_MS)
    for horizon, operators in ((0, 2), (60, 3)):
        folder = tmp_path / str(horizon)
        land(spark, folder, [[(one.value, 0, 0, BEGIN_MS)]], card_horizon_seconds=horizon)
        state = job(folder).checkpoint / "state"
        assert sorted(part.name for part in state.iterdir()) == [str(number) for number in range(operators)]
