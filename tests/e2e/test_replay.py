"""The detector once more over the log: differences are named, applied in one step, and verified from outside.

One stack serves the whole page, in this order; every test but the last leaves it verified.
"""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from fraudctl.broker.topics import ensure_topic
from fraudctl.config.load import load
from fraudctl.operations.produce.preset import labels_settings
from tests.support import scenario, simulated_log, stacks
from tests.support.bars import Bar
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow]

SEED = 7
STRICT = "rules: [{id: any-amount, reason: whatever is paid, when: {amount_over: 0}}]\n"


@pytest.fixture(scope="module")
def landed() -> Iterator[Stack]:
    """Two hours of a log full of faults, landed in small batches."""
    stack = stacks.new_stack(stacks.make_home(), simulated_log.SETTINGS)
    try:
        stack.up()
        simulated_log.fill(stack, hours=2, seed=SEED, until_hours_ago=1)
        stack.run("detect", "--until-caught-up")
        assert stack.json("verify-idempotency")["verdict"] == "ok"
        yield stack
    finally:
        stacks.discard(stack)


def replay(stack: Stack, *arguments: str, code: int, env: dict[str, str] | None = None) -> dict[str, Any]:
    done = stack.run("replay", *arguments, "--json", check=False, env=env)
    assert done.returncode == code, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def middle() -> tuple[str, ...]:
    """Half an hour in the middle of the log, neither bound on a whole minute."""
    begin = datetime.now(UTC) - timedelta(hours=2, minutes=15)
    return ("--from", begin.isoformat(), "--to", (begin + timedelta(minutes=30)).isoformat())


def tamper(stack: Stack, span: tuple[str, ...]) -> None:
    """In the range one row is raised, one removed and one invented; outside it one is raised."""
    inside = "window_start >= %s AND window_end <= %s"
    begin, finish = datetime.fromisoformat(span[1]), datetime.fromisoformat(span[3])
    # By key: a row that is changed moves to another ctid, and must not be met a second time.
    key = "ORDER BY window_start, window_end, category"
    one = f"(SELECT ctid FROM fraud.fraud_metrics WHERE {inside} {key} LIMIT 1 OFFSET %s)"
    for change, offset in (
        (f"UPDATE fraud.fraud_metrics SET count = count + 5 WHERE ctid = {one}", 3),
        (f"DELETE FROM fraud.fraud_metrics WHERE ctid = {one}", 9),
        (
            "INSERT INTO fraud.fraud_metrics SELECT window_start, window_end, 'Invented', 1, 0, 1, 0"
            f" FROM fraud.fraud_metrics WHERE ctid = {one}",
            15,
        ),
    ):
        scenario.execute(stack, change, begin, finish, offset)


def test_a_changed_row_is_named_and_healed_while_a_detector_runs(landed: Stack) -> None:
    span = middle()
    tamper(landed, span)
    landed.run("detect", "--detach")
    try:
        found = replay(landed, *span, code=1)
        assert sorted(row["kind"] for row in found["differences"]) == ["differs", "extra", "missing"]
        (raised,) = (row for row in found["differences"] if row["kind"] == "differs")
        assert raised["columns"] == ["count"]
        assert raised["stored"]["count"] == raised["expected"]["count"] + 5
        assert found["windows_compared"] > 50
        assert not found["applied"]
        assert landed.run("verify-idempotency", check=False).returncode == 1
        applied = replay(landed, *span, "--apply", code=0)
        assert applied["rows_changed"] == 3
        assert landed.json("verify-idempotency")["verdict"] == "ok"
    finally:
        landed.run("detect", "--stop")


def test_checkpoint_lost_rebuilt_and_gone_on_from(landed: Stack) -> None:
    """The only way on without a checkpoint; afterwards the detector continues, and a recount agrees."""
    shutil.rmtree(landed.root / "data" / "checkpoint")
    scenario.execute(landed, "UPDATE fraud.fraud_metrics SET count = count + 1 WHERE category = 'Food'")
    refused = landed.run("detect", "--until-caught-up", check=False)
    assert refused.returncode == 3
    assert "fraudctl replay --rebuild --apply" in refused.stderr
    asked = landed.run("replay", "--rebuild", "--apply", check=False)
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    simulated_log.fill(landed, hours=0.5, seed=SEED + 1, until_hours_ago=0.4)  # nobody has read these yet
    result = replay(landed, "--rebuild", "--apply", "--yes", code=0)
    assert result["applied"]
    assert result["unread"] > 100
    assert len([row for row in result["window_differences"] if row["columns"] == ["count"]]) > 50
    assert landed.json("verify-idempotency")["verdict"] == "ok"
    simulated_log.fill(landed, hours=0.3, seed=SEED + 2)
    landed.run("detect", "--until-caught-up")
    verified = landed.json("verify-idempotency")
    assert verified["verdict"] == "ok"
    assert verified["batches"] > 3


@pytest.mark.bar(7, "full rebuild equals live", target="diff 0 with another batch size")
def test_another_batch_size_gives_the_same_rows(landed: Stack, bar: Bar) -> None:
    for size in ("150", "100000"):
        result = replay(landed, "--rebuild", "--batch-size", size, code=0)
        assert result["window_differences"] == result["dead_letter_differences"] == []
        assert result["windows_compared"] > 300
        assert result["dead_letters_compared"] > 50
        bar(f"batches of {size}: diff 0 of {result['windows_compared']} rows")


def test_other_rules_are_shown_and_not_mixed_in(landed: Stack) -> None:
    rules = landed.home / "strict.yaml"
    rules.write_text(STRICT, encoding="utf-8")
    found = replay(landed, *middle(), "--rules", str(rules), code=1)
    assert found["flagged_replayed"] > found["flagged_live"]
    assert found["alerts"]["replayed"] == len(found["alerts"]["won"]) == 0, "the strict rule only flags"
    assert found["alerts"]["live"] == len(found["alerts"]["lost"])
    assert {row["kind"] for row in found["differences"]} == {"differs"}
    assert all(
        row["expected"]["flagged_count"] == row["expected"]["count"] == row["stored"]["count"]
        for row in found["differences"]
    )
    refused = landed.run("replay", *middle(), "--rules", str(rules), "--apply", check=False)
    assert refused.returncode == 3
    assert "mix" in refused.stderr


def report_fraud(stack: Stack, rows: list[tuple[str, datetime]], reported: datetime) -> None:
    """Send labels, as `produce --preset` does later."""
    kafka = load().settings.kafka
    ensure_topic(stack.kafka, labels_settings(kafka), timeout_seconds=20)
    producer = Producer({"bootstrap.servers": stack.kafka})
    undelivered: list[Any] = []
    for transaction_id, event_time in rows:
        label = {
            "transaction_id": transaction_id,
            "event_time": event_time.isoformat(),
            "scenario": "amount_outlier",
            "reported_at": reported.isoformat(),
        }
        producer.produce(
            kafka.labels_topic,
            json.dumps(label).encode(),
            on_delivery=lambda error, _message: undelivered.append(error) if error else None,
        )
    assert (producer.flush(30), undelivered) == (0, [])


def test_a_rehearsal_says_how_good_the_alerts_would_be(landed: Stack) -> None:
    """Intent: against what is known to be fraud by now, and only in the range. Steps: report two of its
    alerted transactions, one of another hour, and one whose report is still to come; rehearse rules that
    alert on everything. Observables: precision and recall on both sides, counted by hand.
    """
    span = middle()
    begin, finish = datetime.fromisoformat(span[1]), datetime.fromisoformat(span[3])
    alerts = scenario.execute(
        landed, "SELECT transaction_id, event_time FROM fraud.fraud_alerts ORDER BY event_time"
    )
    inside = [row for row in alerts if begin <= row[1] < finish - timedelta(minutes=1)]
    outside = [row for row in alerts if row[1] < begin - timedelta(minutes=1)]
    assert len(inside) > 3
    now = datetime.now(UTC)
    report_fraud(landed, [*inside[:2], outside[0]], now)
    report_fraud(landed, [inside[2]], now + timedelta(days=1))

    rules = landed.home / "all.yaml"
    rules.write_text(STRICT.replace("reason:", "action: alert, reason:"), encoding="utf-8")
    found = replay(landed, *span, "--rules", str(rules), code=1)
    live, replayed = found["alerts"]["live"], found["alerts"]["replayed"]
    assert replayed > live
    assert found["detection"] == {
        "frauds": 2,
        "live": {"alerts": live, "frauds": 2, "precision": 2 / live, "recall": 1.0},
        "replayed": {"alerts": replayed, "frauds": 2, "precision": 2 / replayed, "recall": 1.0},
    }


def test_a_rebuild_killed_in_a_batch_has_changed_nothing_and_runs_again(landed: Stack) -> None:
    scenario.execute(landed, "UPDATE fraud.fraud_metrics SET count = count + 1 WHERE category = 'Food'")
    before = scenario.execute(
        landed, "SELECT md5(string_agg(m::text, '' ORDER BY m)) FROM fraud.fraud_metrics m"
    )
    killed = landed.run(
        "replay", "--rebuild", "--apply", "--yes", check=False, env={"FRAUDCTL_FAILPOINT": "before_commit:2"}
    )
    assert killed.returncode == 4, killed.stderr
    again = scenario.execute(
        landed, "SELECT md5(string_agg(m::text, '' ORDER BY m)) FROM fraud.fraud_metrics m"
    )
    assert again == before
    assert replay(landed, "--rebuild", "--apply", "--yes", code=0)["applied"]
    assert landed.json("verify-idempotency")["verdict"] == "ok"


@pytest.mark.parametrize("between", ["commit and first move", "first move and second"])
def test_a_rebuild_killed_before_its_checkpoint_was_in_place(landed: Stack, between: str) -> None:
    """The rows are the rebuild's, the checkpoint is not: whoever looks next finishes it."""
    data = landed.root / "data"
    replay(landed, "--rebuild", "--apply", "--yes", code=0)
    (data / "checkpoint").rename(data / "checkpoint.replay")
    old = max(
        data.glob("checkpoint.before-rebuild-*"), key=lambda folder: int(folder.name.rpartition("-")[2])
    )
    if between == "commit and first move":
        old.rename(data / "checkpoint")
        landed.run("detect", "--until-caught-up")
    else:
        assert replay(landed, "--rebuild", "--apply", "--yes", code=0)["resumed"]
        landed.run("detect", "--until-caught-up")
    assert not (data / "checkpoint.replay").exists()
    assert landed.json("verify-idempotency")["verdict"] == "ok"


def test_another_window_length_is_legal_after_a_rebuild(landed: Stack) -> None:
    shorter = {"FRAUDCTL_WINDOWS__LENGTH_MINUTES": "5"}
    refused = landed.run("detect", "--until-caught-up", check=False, env=shorter)
    assert refused.returncode == 3
    assert "fraudctl replay --rebuild --apply" in refused.stderr
    assert landed.run("replay", *middle(), "--apply", check=False, env=shorter).returncode == 3
    replay(landed, "--rebuild", "--apply", "--yes", code=0, env=shorter)
    done = landed.run("verify-idempotency", "--json", env=shorter)
    assert json.loads(done.stdout)["verdict"] == "ok"
    replay(landed, "--rebuild", "--apply", "--yes", code=0)
    assert landed.json("verify-idempotency")["verdict"] == "ok"


def test_what_retention_has_taken_cannot_be_replayed(landed: Stack) -> None:
    """The last one: it removes the beginning of the log."""
    admin = AdminClient({"bootstrap.servers": landed.kafka})
    wanted = [TopicPartition("transactions", 0, 5)]
    for future in admin.delete_records(wanted).values():
        future.result(20)
    for arguments in (("--rebuild",), ("--rebuild", "--apply", "--yes"), middle()):
        refused = landed.run("replay", *arguments, check=False)
        assert refused.returncode == 3, refused.stderr
        assert "retention has removed" in refused.stderr
    assert scenario.counted(landed) > 1000
