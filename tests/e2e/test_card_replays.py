"""Replays where rules ask what a card did before: compared, refused where they would mix, rebuilt.

One stack serves the whole page, in this order; every test leaves it verified.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from tests.support import scenario, simulated_log, stacks
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(3_600)]

SEED = 11
SECONDS = 900  # for one command: on a busy machine Spark alone may take minutes to start
CARDS = 40
OFTEN = {
    "id": "often",
    "reason": "four payments within ten minutes",
    "weight": 60,
    "when": {"card": {"within_minutes": 10, "count_over": 3}},
}
FAST = {
    "id": "fast",
    "reason": "two payments within half a minute",
    "action": "alert",
    "weight": 30,
    "when": {"card": {"within_minutes": 2, "since_previous_under_seconds": 30}},
}
DEAR = {"id": "dear", "reason": "dear", "weight": 30, "when": {"amount_over": 9_000}}
RULES = {"rules": [DEAR, OFTEN, FAST], "alert_score": 90}


@pytest.fixture(scope="module")
def landed() -> Iterator[Stack]:
    """Two hours of few cards and many faults, landed in small batches under rules on the card."""
    stack = stacks.new_stack(stacks.make_home(), simulated_log.SETTINGS)
    try:
        stack.env["FRAUDCTL_RULES__FILE"] = written(stack, "rules", RULES)
        stack.up()
        simulated_log.fill(stack, hours=2, seed=SEED, until_hours_ago=1, cards=CARDS)
        stack.run("detect", "--until-caught-up", timeout=SECONDS)
        assert verified(stack)["flags_compared"] > 100
        yield stack
    finally:
        stacks.discard(stack)


def written(stack: Stack, name: str, rules: dict[str, Any]) -> str:
    file = stack.home / f"{name}.json"
    file.write_text(json.dumps(rules), encoding="utf-8")
    return str(file)


def verified(stack: Stack) -> dict[str, Any]:
    found = stack.json("verify-idempotency")
    assert found["verdict"] == "ok"
    return found


def replay(stack: Stack, *arguments: str, code: int) -> dict[str, Any]:
    done = stack.run("replay", *arguments, "--json", check=False, timeout=SECONDS)
    assert done.returncode == code, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@cache
def span() -> tuple[datetime, datetime]:
    """Half an hour in the middle of the log, the same in every test."""
    begin = (datetime.now(UTC) - timedelta(hours=2, minutes=15)).replace(second=0, microsecond=0)
    return begin, begin + timedelta(minutes=30)


def middle() -> tuple[str, ...]:
    begin, finish = span()
    return "--from", begin.isoformat(), "--to", finish.isoformat()


def in_the_middle(stack: Stack) -> int:
    inside = "SELECT count(*) FROM fraud.fraud_flags WHERE event_time >= %s AND event_time < %s"
    return int(scenario.execute(stack, inside, *span())[0][0])


def test_another_batch_size_gives_the_same_flags_and_alerts(landed: Stack) -> None:
    for size in ("150", "100000"):
        result = replay(landed, "--rebuild", "--batch-size", size, code=0)
        assert result["flag_differences"] == result["alert_differences"] == result["window_differences"] == []
        assert result["flags_compared"] > 100
        assert result["alerts_compared"] > 30


def test_the_same_rules_over_a_range_find_the_same_flags(landed: Stack) -> None:
    """Those at its begin too, whose past lies before it."""
    found = replay(landed, *middle(), code=0)
    assert found["flags"]["live"] == found["flags"]["replayed"] == in_the_middle(landed) > 20
    assert found["flags"]["won"] == found["flags"]["lost"] == []
    assert found["alerts"]["won"] == found["alerts"]["lost"] == []
    assert replay(landed, *middle(), "--apply", code=0)["rows_changed"] == 0
    verified(landed)


def test_other_rules_on_the_card_are_shown_and_not_mixed_in(landed: Stack) -> None:
    """They may look back further: a replay has a state of its own."""
    further = {**OFTEN, "id": "oftener", "when": {"card": {"within_minutes": 15, "count_over": 3}}}
    rules = written(landed, "further", {"rules": [DEAR, further], "alert_score": 90})
    found = replay(landed, *middle(), "--rules", rules, code=1)
    live = {
        row[0] for row in scenario.execute(landed, "SELECT DISTINCT transaction_id FROM fraud.fraud_flags")
    }
    assert found["flags"]["live"] == in_the_middle(landed)
    assert len(found["flags"]["won"]) > 5
    assert not live & set(found["flags"]["won"])
    assert set(found["flags"]["lost"]) <= live
    assert set(found["flags"]["won_by_rule"]) <= {"dear", "oftener"}
    assert set(found["flags"]["lost_by_rule"]) <= {"dear", "fast"}, "what is often is oftener too"
    assert found["differences"] == [], "windows count no rule on the card"
    off = {"rules": [DEAR, {**OFTEN, "enabled": False}], "alert_score": 90}
    none = replay(landed, *middle(), "--rules", written(landed, "off", off), code=1)
    assert (none["flags"]["replayed"], len(none["flags"]["lost"])) == (0, none["flags"]["live"])
    refused = landed.run("replay", *middle(), "--rules", rules, "--apply", check=False, timeout=SECONDS)
    assert refused.returncode == 3
    assert "mix" in refused.stderr
    verified(landed)


def test_changed_flags_are_named_not_swapped_by_range_and_healed_by_a_rebuild(landed: Stack) -> None:
    key = "SELECT partition, digest FROM fraud.fraud_flags WHERE event_time >= %s AND event_time < %s"
    first, second, third = scenario.execute(landed, f"{key} ORDER BY partition, digest LIMIT 3", *span())
    for change, (partition, digest) in (
        ("UPDATE fraud.fraud_flags SET score = score - 1", first),
        ("UPDATE fraud.fraud_flags SET alone = NOT alone", second),
        ("DELETE FROM fraud.fraud_flags", third),
    ):
        scenario.execute(landed, f"{change} WHERE partition = %s AND digest = %s", partition, digest)
    wanted = {
        (*first, "differs", ("score",)),
        (*second, "differs", ("alone",)),
        (*third, "missing", ()),
    }
    failed = landed.run("verify-idempotency", "--json", check=False, timeout=SECONDS)
    assert failed.returncode == 1
    assert named(json.loads(failed.stdout)) == wanted
    refused = landed.run("replay", *middle(), "--apply", check=False, timeout=SECONDS)
    assert refused.returncode == 3
    assert "3 differ" in refused.stderr
    assert "fraudctl replay --rebuild --apply" in refused.stderr
    assert named(replay(landed, "--rebuild", code=1)) == wanted
    replay(landed, "--rebuild", "--apply", "--yes", code=0)
    verified(landed)


def named(found: dict[str, Any]) -> set[tuple[int, str, str, tuple[str, ...]]]:
    """Each flag that differs: where, how, and in which columns."""
    return {
        (row["partition"], row["digest"], row["kind"], tuple(row["columns"]))
        for row in found["flag_differences"]
    }
