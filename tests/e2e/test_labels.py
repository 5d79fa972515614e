"""The detector cannot read labels: it is told of none, reads one topic, and finds the same without them."""

import json
from collections import Counter
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from fraudctl.config.load import load
from tests.conftest import NewStack
from tests.support import scenario
from tests.support.raw_log import CREATE_TIME, TOPIC
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow]

RULES = {
    "rules": [
        {"id": "dear", "reason": "dear", "weight": 60, "action": "alert", "when": {"amount_over": 40_000}},
        {
            "id": "often",
            "reason": "several payments in a short time",
            "weight": 30,
            "action": "alert",
            "when": {"card": {"within_minutes": 30, "count_over": 2}},
        },
    ]
}
# All that the detector says of a transaction or a window, without when it said so and in which batch.
OUTPUT = {
    "fraud_metrics": "window_start, window_end, category, count, flagged_count, amount_minor,"
    " flagged_amount_minor",
    "fraud_alerts": "digest, transaction_id, event_time, arrival, rule_set, score, rules",
    "fraud_flags": "partition, digest, transaction_id, arrival, rule_set, score, rules, alone",
    "dead_letters": 'topic, partition, "offset", reason',
}
LABELS = load().settings.kafka.labels_topic


def output(stack: Stack) -> dict[str, Counter[str]]:
    """The rows of every table that the detector fills, as text."""
    return {
        table: Counter(str(row) for row in scenario.execute(stack, f"SELECT {columns} FROM fraud.{table}"))
        for table, columns in OUTPUT.items()
    }


def topics_read(stack: Stack) -> set[str]:
    """Of every batch that Spark has planned, as its checkpoint says."""
    found: set[str] = set()
    for plan in (stack.root / "data" / "checkpoint" / "offsets").glob("[0-9]*"):
        _version, _metadata, *sources = plan.read_text(encoding="utf-8").splitlines()
        assert sources
        found.update(*(json.loads(source) for source in sources))
    return found


def test_without_labels_the_detector_finds_the_same(new_stack: NewStack) -> None:
    """Intent: no label reaches the detector. Steps: send a preset's traffic and its labels, detect; then
    remove the topic of labels, and detect all of it once more in a new generation.

    Observables: every window, alert, flag and refused record of both runs; the job, and what Spark read.
    """
    stack = new_stack({**CREATE_TIME, "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0"})
    rules = stack.home / "rules.json"
    rules.write_text(json.dumps(RULES), encoding="utf-8")
    stack.env["FRAUDCTL_RULES__FILE"] = str(rules)
    stack.up()
    produced = stack.json(
        "produce", "--preset", "everyday", "--days", "1", "--speed", "100000x", "--seed", "7"
    )
    assert produced["labels_sent"] == produced["fraud"] > 20
    stack.run("detect", "--until-caught-up")
    with_labels = output(stack)
    assert sum(with_labels["fraud_alerts"].values()) > 20
    assert sum(with_labels["fraud_flags"].values()) > 20
    assert stack.json("evaluate", "--all-labels")["alerts"]["true_positives"] > 0
    job = (stack.root / "run" / "detector.job.json").read_text(encoding="utf-8")
    assert TOPIC in job
    assert LABELS not in job
    assert topics_read(stack) == {TOPIC}

    remove_topic(stack, LABELS)
    assert "there are no labels" in stack.run("evaluate", "--all-labels", check=False).stderr
    stack.run("detect", "--new-generation", "--until-caught-up")
    assert output(stack) == with_labels


def remove_topic(stack: Stack, name: str) -> None:
    admin: Any = AdminClient({"bootstrap.servers": stack.kafka})
    admin.delete_topics([name])[name].result(20)
    scenario.wait_for("the topic's end", lambda: name not in admin.list_topics(timeout=20).topics)
