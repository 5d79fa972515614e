"""`verify-idempotency --from-ledger`: each run reads what is new, and its verdict is about everything."""

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from tests.conftest import NewStack
from tests.support import scenario
from tests.support.raw_log import TOPIC
from tests.support.stacks import Stack

pytestmark = pytest.mark.services

EVENTS = 3_000
VERIFY = ("verify-idempotency", "--from-ledger")


def grow(stack: Stack, seed: int) -> None:
    """Send events with copies and malformed ones among them, and have them processed."""
    stack.run("produce", "--preset", "rough", "--rate", "max", "--count", str(EVENTS), "--seed", str(seed))
    stack.run("detect", "--until-caught-up")


def lose_what_was_read(stack: Stack, partitions: int = 3) -> None:
    """Delete the whole log up to now, as retention does in the end."""
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    ends = [TopicPartition(TOPIC, number, -1) for number in range(partitions)]
    for future in admin.delete_records(ends).values():
        future.result(20.0)


def test_a_later_run_reads_only_what_is_new_and_still_sees_every_row(new_stack: NewStack) -> None:
    """Intent: what was recounted once need not be read again, and is still compared.

    Observables: events read and kept add up; a row of the old part that is changed is named; the verdict
    stands when retention has taken the old part, where a whole recount refuses.
    """
    stack = new_stack()
    stack.up()
    grow(stack, 1)
    first = stack.json(*VERIFY)
    assert (first["verdict"], first["events_kept"]) == ("ok", 0)
    assert "no verification" in first["whole_because"]

    grow(stack, 2)
    second = stack.json(*VERIFY)
    assert (second["verdict"], second["whole_because"]) == ("ok", "")
    assert second["events_kept"] == first["events_read"]
    whole = stack.json("verify-idempotency")
    same = whole.keys() - {"seconds", "events_kept", "kept_since"}
    assert {name: second[name] for name in same} == {name: whole[name] for name in same}

    oldest = "WHERE window_start = (SELECT min(window_start) FROM fraud.fraud_metrics)"
    scenario.execute(stack, f"UPDATE fraud.fraud_metrics SET count = count + 1 {oldest}")
    assert stack.json(*VERIFY, check=False)["window_differences"]
    scenario.execute(stack, f"UPDATE fraud.fraud_metrics SET count = count - 1 {oldest}")

    lose_what_was_read(stack)
    assert stack.run("verify-idempotency", check=False).returncode == 3
    grow(stack, 3)
    third = stack.json(*VERIFY)
    assert (third["verdict"], third["events_kept"]) == ("ok", second["events_read"])


def test_what_cannot_be_trusted_is_read_again(new_stack: NewStack) -> None:
    """Intent: a damaged file or a changed ledger is never built upon."""
    stack = new_stack()
    stack.up()
    grow(stack, 1)
    stack.json(*VERIFY)
    kept = stack.root / "run" / "recount" / "kept"
    file = max(kept.glob("rows-*"))
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    damaged = stack.json(*VERIFY)
    assert (damaged["verdict"], damaged["events_kept"]) == ("ok", 0)
    assert file.name in damaged["whole_because"]

    assert stack.json(*VERIFY)["events_kept"] == damaged["events_read"]
    scenario.execute(
        stack, "UPDATE fraud.batch_ledger SET watermark = watermark - interval '1 day' WHERE batch_id = 0"
    )
    changed = stack.json(*VERIFY)
    assert changed["events_kept"] == 0
    assert "ledger" in changed["whole_because"]
