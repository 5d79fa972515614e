"""The README's everyday commands, as a user types them into an empty home."""

import json
import shlex

import pytest

from tests.conftest import NewStack
from tests.support import scenario

pytestmark = pytest.mark.services


def test_up_produce_detect_verify_in_an_empty_home(new_stack: NewStack) -> None:
    """Intent: the main job gives exact counts, and its data outlives `down`.

    Observables: those of `main_job`; down leaves no process.
    """
    stack = new_stack()
    main_job(stack)
    stack.run("down")
    assert not scenario.leftovers(stack.home)
    assert (stack.root / "data" / "kafka").is_dir()
    stack.up()
    assert stack.json("verify-idempotency")["verdict"] == "ok"


def main_job(stack: scenario.Stack) -> None:
    """From an empty home, under whatever profile the stack has. Detect starts first and waits for the stack.

    Observables: exit codes; counted = acknowledged - dead letters; each tampered row is named.
    """
    detect = scenario.start(stack, "detect", "--duration", "35s", "--json")
    stack.up()
    produced = stack.json("produce", "--rate", "500", "--duration", "20s")
    detected = json.loads(detect.finish())
    verified = stack.json("verify-idempotency")

    assert produced["sent"] == produced["acknowledged"] == 10_000
    assert produced["failed"] == 0
    assert detected["records"] == produced["acknowledged"]
    assert verified["verdict"] == "ok"
    letters = scenario.execute(stack, "SELECT count(*) FROM fraud.dead_letters")[0][0]
    assert scenario.counted(stack) == produced["acknowledged"] - letters
    assert sum(verified["fates"].values()) == produced["acknowledged"]
    assert detected["trigger_ms"]["p50"] > 0

    tamper_with_each_kind_of_row(stack)


def tamper_with_each_kind_of_row(stack: scenario.Stack) -> None:
    """A count changed by one, a row deleted, a row added: each is found, and named."""
    row = scenario.execute(
        stack,
        "SELECT window_start, category FROM fraud.fraud_metrics ORDER BY window_start DESC, category LIMIT 1",
    )[0]
    where = "WHERE window_start = %s AND category = %s"
    kept = "CREATE TABLE public.kept AS SELECT * FROM fraud.fraud_metrics"
    scenario.execute(stack, kept)
    for change, values in (
        (f"UPDATE fraud.fraud_metrics SET count = count + 1 {where}", row),
        (f"DELETE FROM fraud.fraud_metrics {where}", row),
        (
            "INSERT INTO fraud.fraud_metrics SELECT window_start + interval '1 day', window_end + interval"
            f" '1 day', category, count, flagged_count, amount_minor, flagged_amount_minor"
            f" FROM fraud.fraud_metrics {where}",
            row,
        ),
    ):
        scenario.execute(stack, change, *values)
        done = stack.run("verify-idempotency", "--json", check=False)
        assert done.returncode == 1, change
        differences = json.loads(done.stdout)["window_differences"]
        assert len(differences) == 1, change
        assert differences[0]["category"] == row[1]
        scenario.execute(stack, "TRUNCATE fraud.fraud_metrics")
        scenario.execute(stack, "INSERT INTO fraud.fraud_metrics SELECT * FROM public.kept")
    assert stack.json("verify-idempotency")["verdict"] == "ok"


def test_a_second_detector_is_refused_and_a_detached_one_stops_cleanly(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    stack.run("detect", "--detach")
    refused = stack.run("detect", "--duration", "5s", check=False)
    assert refused.returncode == 3
    assert "runs already" in refused.stderr
    assert stack.json("status")["services"]["detector"]["state"] == "running"
    stack.run("produce", "--rate", "200", "--count", "1000", "--seed", "3")
    scenario.wait_for(
        "all records to land",
        lambda: sum(sum(line["fates"].values()) for line in scenario.progress(stack)) == 1000,
    )
    stack.run("detect", "--stop")
    assert scenario.detector_pid(stack) is None
    assert stack.json("verify-idempotency")["fates"]["counted"] == 1000
    outcome = json.loads((stack.root / "run" / "detector.outcome.json").read_text(encoding="utf-8"))
    assert outcome["exit_code"] == 0


def test_dry_run_prints_the_line_and_starts_nothing(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    line = stack.run("detect", "--dry-run").stdout
    assert "spark-submit" in line
    assert "org.apache.spark_spark-sql-kafka-0-10_2.13-" in line
    document = stack.json("detect", "--dry-run")
    assert shlex.join(document["argv"]) == line.strip()
    assert document["packages"][0].startswith("org.apache.spark:spark-sql-kafka-0-10_2.13:")
    assert document["environment"]["TZ"] == "UTC"
    assert document["job"]["topic"] == "transactions"
    assert scenario.detector_pid(stack) is None
    assert not (stack.root / "data" / "checkpoint").exists()
