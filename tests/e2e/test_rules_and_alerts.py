"""Rules are changed while events flow, and every alert reaches the table and the topic once."""

import json
import os
import signal
from pathlib import Path

import pytest

from fraudctl.broker.log import read_whole
from fraudctl.broker.topics import end_offsets
from tests.conftest import NewStack
from tests.support import scenario
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow]

CHANGES = 20
NEWEST = "SELECT rule_set FROM fraud.batch_ledger ORDER BY epoch DESC, batch_id DESC LIMIT 1"


def document(number: int) -> dict[str, object]:
    """Thresholds, predicates, weights, actions and switches: every change is another one."""
    dear = {
        "id": "dear",
        "version": number + 1,
        "reason": f"dear, in version {number + 1}",
        "weight": 5 * number % 100,
        "action": "alert" if number % 3 else "flag",
        "enabled": number % 5 != 4,
        "when": {"amount_over": 2000 + 500 * number, "not_categories": ["Food"]},
    }
    pos = {"id": "shop", "reason": "in a shop", "weight": 30, "when": {"channels": ["pos"]}}
    if number == 7:
        return {"rules": []}
    return {"rules": [dear, pos][: 1 + number % 2], "alert_score": 90}


def apply(stack: Stack, number: int) -> str:
    file = stack.home / f"rules-{number}.yaml"
    file.write_text(json.dumps(document(number)), encoding="utf-8")
    return str(stack.json("rules", "apply", str(file))["digest"])


def judged_by(stack: Stack) -> str:
    rows = scenario.execute(stack, NEWEST)
    return rows[0][0] if rows else ""


def published(stack: Stack) -> list[dict[str, object]]:
    servers = stack.kafka
    held = end_offsets(servers, "transactions.alerts", timeout_seconds=20)
    records = list(read_whole(servers, "transactions.alerts", held, timeout_seconds=20))
    messages = [json.loads(record.value or b"") for record in records]
    assert [message["alert_id"].encode() for message in messages] == [record.key for record in records]
    return messages


def kill(stack: Stack) -> None:
    pid = scenario.detector_pid(stack)
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    scenario.wait_for("the detector's end", lambda: scenario.detector_pid(stack) is None)


def test_rules_change_while_events_flow(new_stack: NewStack, tmp_path: Path) -> None:
    """Intent: what judged each batch is on record, and a change, a crash or a mistake loses no alert.

    Observables: verify; the alerts in the table and in the topic are the same, each once.
    """
    stack = new_stack()
    stack.up()
    stack.run("detect", "--detach")
    produce = scenario.start(stack, "produce", "--rate", "200", "--duration", "600s", "--seed", "4")
    scenario.wait_for("the first batch", lambda: judged_by(stack), seconds=120)
    first = judged_by(stack)

    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("rules:\n  - {id: a, reason: b, when: {amount_over: much}}\n", encoding="utf-8")
    refused = stack.run("rules", "apply", str(wrong), check=False)
    assert refused.returncode == 3
    assert f"{wrong}:2: rules #1.when.amount_over" in refused.stderr

    digests = []
    for number in range(CHANGES):
        digests.append(apply(stack, number))
        if number == CHANGES // 2:
            kill(stack)
            digests.append(apply(stack, 100))
            stack.run("detect", "--detach")
        wanted = digests[-1]
        scenario.wait_for("a batch of the new rules", lambda: judged_by(stack) == wanted, seconds=120)  # noqa: B023
    assert apply(stack, CHANGES - 1) == digests[-1], "twice is once"

    produce.interrupt()
    produced = produce.finish()
    assert produced
    stack.run("detect", "--stop")
    stack.run("detect", "--until-caught-up")
    verified = stack.json("verify-idempotency")
    assert (verified["verdict"], verified["not_landed"]) == ("ok", 0)
    assert verified["rule_sets"] >= CHANGES
    used = {row[0] for row in scenario.execute(stack, "SELECT DISTINCT rule_set FROM fraud.batch_ledger")}
    assert first in used
    assert used >= set(digests) - {digests[CHANGES // 2]}, "the one before the kill may have judged nothing"

    landed = scenario.execute(stack, "SELECT digest, rule_set, score, published_at FROM fraud.fraud_alerts")
    assert len(landed) == verified["alerts_compared"] > 100
    assert len({row[1] for row in landed}) > 5
    assert all(row[3] is not None for row in landed)
    messages = published(stack)
    assert len(messages) == len(landed), "each once"
    assert {(one["alert_id"], one["rule_set"], one["score"]) for one in messages} == {
        (digest, rule_set, score) for digest, rule_set, score, _at in landed
    }
    listed = stack.json("alerts", "--limit", "5")
    assert (listed["figures"]["alerts"], listed["figures"]["published"]) == (len(landed), len(landed))
    assert 0 < listed["figures"]["landing_seconds"][0] <= listed["figures"]["landing_seconds"][1]
    assert len(listed["alerts"]) == 5
    assert stack.json("rules", "list")["digest"] == digests[-1]
