"""Rules on what a card did before: over a bad network, under changes and kills, and looking back further.

Among them are forests: one that looks back at the card, and one that asks of the transaction alone.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NewStack
from tests.support import forests, scenario
from tests.support.raw_log import CREATE_TIME
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(3_600)]

# One command, on a machine that has other work to do.
SECONDS = 900
MINUTES = 4
NEWEST = "SELECT rule_set FROM fraud.batch_ledger ORDER BY epoch DESC, batch_id DESC LIMIT 1"
ROWS = "SELECT * FROM fraud.fraud_flags ORDER BY partition, digest"


def document(version: int, minutes: int = MINUTES) -> dict[str, Any]:
    """Every version is another one; the third has no rule on the card that counts."""
    fast = {
        "id": "fast",
        "version": version + 1,
        "reason": "several payments in a short time",
        "weight": 40,
        "action": "alert" if version % 2 == 0 else "flag",
        "enabled": version != 2,
        "when": {"card": {"within_minutes": minutes, "count_over": 1 + version % 2}},
    }
    close = {
        "id": "close",
        "reason": "right after the one before, or in another shop",
        "weight": 35,
        "enabled": version != 2,
        "when": {
            "amount_over": 1_000,
            "card": {"within_minutes": 2, "since_previous_under_seconds": 45, "merchants_over": 1},
        },
    }
    dear = {"id": "dear", "reason": "a large amount", "weight": 45, "when": {"amount_over": 9_000}}
    learned = {
        "id": "learned",
        "reason": "a forest that looks back",
        "weight": 30,
        "enabled": version != 2,
        "when": {"model": {"forest": looking_back(version), "score_over": 45 + version}},
    }
    itself = {
        "id": "itself",
        "reason": "a forest that does not",
        "weight": 20,
        "when": {"model": {"forest": of_itself(), "score_over": 50 + version}},
    }
    return {"rules": [fast, dear, learned, close, itself], "alert_score": 80}


def looking_back(seed: int) -> dict[str, Any]:
    limits: dict[str, Sequence[int]] = {
        "amount_minor": (1_500, 3_000, 6_000, 12_000),
        "category=Food": (0,),
        "card_count": (1, 2, 3),
        "card_sum_minor": (4_000, 10_000),
        "card_merchants": (1, 2),
        "card_countries": (1,),
        "card_since_previous_seconds": (20, 60, 179),
    }
    return forests.drawn(random.Random(seed), limits, within_minutes=3)


def of_itself() -> dict[str, Any]:
    remote = ("amount_minor", 6_000, 100_000, ("channel=ecom", 0, 300_000, 900_000))
    late = ("hour_utc", 12, 300_000, ("weekday", 4, 400_000, 500_000))
    return forests.forest(["amount_minor", "channel=ecom", "hour_utc", "weekday"], [remote, late])


def written(stack: Stack, name: str, rules: dict[str, Any]) -> str:
    file = stack.home / f"{name}.json"
    file.write_text(json.dumps(rules), encoding="utf-8")
    return str(file)


def answer(stack: Stack, *arguments: str) -> dict[str, Any]:
    """The JSON of a command that may take its time."""
    found: dict[str, Any] = json.loads(stack.run(*arguments, "--json", timeout=SECONDS).stdout)
    return found


def verified(stack: Stack) -> dict[str, Any]:
    """What verify says of a log that has landed to its end, and in which it found no difference."""
    found = answer(stack, "verify-idempotency")
    assert (found["verdict"], found["not_landed"]) == ("ok", 0)
    assert found["flags_compared"] == scenario.execute(stack, "SELECT count(*) FROM fraud.fraud_flags")[0][0]
    return found


def begun(environ: dict[str, str], new_stack: NewStack) -> Stack:
    """A stack that begins with version 0 of the rules."""
    stack = new_stack(environ | {"FRAUDCTL_SPARK__TRIGGER_SECONDS": "0"})
    stack.env["FRAUDCTL_RULES__FILE"] = written(stack, "first", document(0))
    stack.up()
    return stack


def test_cards_over_a_bad_network(new_stack: NewStack) -> None:
    """Intent: copies, late and overtaken records, gaps and bursts do not move a flag. Steps: send days of
    traffic with every fault as a backfill, detect in many batches, verify, run the last batches again.

    Observables: verify agrees on flags of several batches, alone and not; batches run again change nothing.
    """
    stack = begun({**CREATE_TIME, "FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": "4000"}, new_stack)
    produced = answer(
        stack,
        *("produce", "--preset", "rough", "--faults", "--speed", "86400x", "--count", "24000"),
        *("--seed", "5", "--no-labels"),
    )
    detected = answer(stack, "detect", "--until-caught-up")
    assert detected["dropped_by_watermark"] == 0
    found = verified(stack)
    assert found["events_read"] == produced["acknowledged"]
    assert found["fates"]["duplicate"] > 500
    assert found["fates"]["late"] > 100
    by_batch = scenario.execute(
        stack, "SELECT batch_id, count(*), count(*) FILTER (WHERE alone) FROM fraud.fraud_flags GROUP BY 1"
    )
    assert len(by_batch) > 3
    assert 0 < sum(row[2] for row in by_batch) < sum(row[1] for row in by_batch)
    before = scenario.execute(stack, ROWS)
    again = answer(stack, "replay", "--last-batches", "3")
    assert again["hash_before"] == again["hash_after"]
    assert scenario.execute(stack, ROWS) == before


def judged_by(stack: Stack) -> str:
    rows = scenario.execute(stack, NEWEST)
    return rows[0][0] if rows else ""


def apply(stack: Stack, version: int) -> str:
    file = written(stack, f"rules-{version}", document(version))
    return str(stack.json("rules", "apply", file)["digest"])


def test_cards_under_changes_and_kills_and_further_back(new_stack: NewStack) -> None:
    """Intent: neither a change of rules nor a crash nor both make a flag or an alert wrong, and a rule never
    looks back further than the state does.

    Steps: under load change the rules three times, once to none on the card, and kill the detector in the
    middle of a batch twice; apply rules that look back further; rebuild with them; go on with them.
    Observables: verify, each time; the refusal with its remedy, and that the detector goes on after it.
    """
    stack = begun({}, new_stack)
    load = scenario.start(
        stack, *("produce", "--preset", "everyday", "--rate", "250", "--seed", "6", "--duration", "3600s")
    )
    wanted = ""
    for version, failpoint in ((0, "after_merge:3"), (1, "after_commit:3"), (2, ""), (3, "")):
        if version:
            wanted = apply(stack, version)
        if failpoint:
            died = scenario.start(stack, "detect", env={"FRAUDCTL_FAILPOINT": failpoint})
            died.finish(seconds=SECONDS, codes=(4,))
            assert "killed" in died.stderr
        if version == 1:
            stack.run("detect", "--detach", timeout=SECONDS)
        if wanted:
            scenario.wait_for("a batch of these rules", lambda: judged_by(stack) == wanted, SECONDS)  # noqa: B023

    running = judged_by(stack)
    batches = scenario.execute(stack, "SELECT count(*) FROM fraud.batch_ledger")[0][0]
    further = written(stack, "further", document(4, minutes=MINUTES + 1))
    refused = stack.run("rules", "apply", further, check=False)
    assert refused.returncode == 3
    assert f"replay --rebuild --rules {further} --apply" in refused.stderr
    assert "fast" in refused.stderr
    scenario.wait_for(
        "another batch",
        lambda: scenario.execute(stack, "SELECT count(*) FROM fraud.batch_ledger")[0][0] > batches,
        SECONDS,
    )
    assert judged_by(stack) == running == wanted

    load.interrupt()
    load.finish(seconds=SECONDS)
    stack.run("detect", "--stop", timeout=SECONDS)
    answer(stack, "detect", "--until-caught-up")
    found = verified(stack)
    assert found["rule_sets"] == 4
    assert found["flags_compared"] > 100
    assert found["alerts_compared"] > 100
    for rule in ("fast", "close", "learned", "itself"):
        (flags,) = scenario.execute(
            stack, "SELECT count(*) FROM fraud.fraud_flags WHERE %s = ANY (rules)", rule
        )[0]
        assert flags > 10, f"{rule} has not matched often enough to prove anything"
    judged = scenario.execute(stack, "SELECT DISTINCT rule_set FROM fraud.fraud_flags")
    assert len(judged) > 1, "flags of several versions stand side by side"
    looking_back_further_needs_a_rebuild(stack, Path(further))


def looking_back_further_needs_a_rebuild(stack: Stack, further: Path) -> None:
    """Rules that came into force past the refusal stop the detector at its start; a rebuild takes them."""
    rules = stack.json("rules", "check", str(further))
    digest = rules.pop("digest")
    rules.pop("warnings")
    before = scenario.execute(stack, "SELECT rule_set FROM fraud.active_rules")
    scenario.execute(stack, "INSERT INTO fraud.rule_sets VALUES (%s, %s)", digest, json.dumps(rules))
    scenario.execute(stack, "UPDATE fraud.active_rules SET rule_set = %s", digest)
    refused = stack.run("detect", "--until-caught-up", check=False)
    assert refused.returncode == 3
    assert "replay --rebuild --rules" in refused.stderr
    assert stack.run("doctor", check=False).returncode == 1
    scenario.execute(stack, "UPDATE fraud.active_rules SET rule_set = %s", *before[0])

    answer(stack, "replay", "--rebuild", "--rules", str(further), "--apply", "--yes")
    found = verified(stack)
    assert found["rule_sets"] == 1
    assert found["flags_compared"] > 100
    answer(stack, "produce", "--preset", "everyday", "--rate", "500", "--seed", "7", "--count", "3000")
    answer(stack, "detect", "--until-caught-up")
    verified(stack)
    judged = scenario.execute(stack, "SELECT DISTINCT rule_set FROM fraud.batch_ledger")
    assert judged == [(digest,)]
