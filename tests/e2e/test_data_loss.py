"""Bar 12: records that are gone before they were read, or a topic that is not the same: loud, and at once."""

import time
from collections.abc import Callable

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.conftest import NewStack
from tests.support import scenario
from tests.support.bars import Bar
from tests.support.raw_log import TOPIC
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1200)]

SECONDS = 60.0
PARTITIONS = 3
# A consumer has the next tens of thousands in its hands already (compressed, a fetch is megabytes of each
# partition); what it holds it may still land, so that there must be far more.
RECORDS, A_BATCH = 300_000, 1_000


def delete_records(stack: Stack) -> None:
    """As retention does: everything is gone, read or not."""
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    ends = [TopicPartition(TOPIC, number, -1) for number in range(PARTITIONS)]
    for future in admin.delete_records(ends).values():
        future.result(20.0)


def recreate_topic(stack: Stack) -> None:
    """The same name and shape, and as many records as before."""
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    for future in admin.delete_topics([TOPIC]).values():
        future.result(20.0)
    scenario.wait_for("the topic's end", lambda: TOPIC not in admin.list_topics(timeout=5.0).topics)
    new = NewTopic(TOPIC, PARTITIONS, 1, config={"message.timestamp.type": "LogAppendTime"})
    for future in admin.create_topics([new]).values():
        future.result(20.0)
    stack.run("produce", "--rate", "max", "--count", str(RECORDS), "--seed", "3")


def refused(
    stack: Stack, running: scenario.Running | None, lose: Callable[[Stack], None]
) -> tuple[float, str]:
    """Lose data, and see the detector (or the next one) end of it: after how long, with which words."""
    began = time.monotonic()
    lose(stack)
    detect = running or scenario.start(stack, "detect")
    detect.finish(seconds=240, codes=(3,))
    return time.monotonic() - began, detect.stderr


@pytest.mark.parametrize("while_running", [False, True], ids=["stopped", "running"])
@pytest.mark.parametrize(
    ("lose", "cause"),
    [(delete_records, "gone from the topic"), (recreate_topic, "topic")],
    ids=["records deleted", "topic recreated"],
)
@pytest.mark.bar(12, "data loss is loud", target="detector non-zero <= 60 s with the cause, verify exit 3")
def test_lost_records_stop_the_detector(
    new_stack: NewStack, bar: Bar, lose: Callable[[Stack], None], cause: str, while_running: bool
) -> None:
    """Intent: nothing is skipped silently. Steps: land a part of the log, lose the rest, go on.

    Observables: the detector ends with 3 and the cause within a minute; it has not gone on to the end of the
    log (or of the new one); verify refuses with 3.
    """
    stack = new_stack({"FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": str(A_BATCH)})
    stack.up()
    stack.run("produce", "--rate", "max", "--count", str(RECORDS), "--seed", "1")
    detect = scenario.start(stack, "detect")
    scenario.wait_for("a few batches", lambda: len(scenario.progress(stack)) >= 3, seconds=300)
    if not while_running:
        detect.interrupt()
        detect.finish()
    seconds, words = refused(stack, detect if while_running else None, lose)
    assert cause in words
    assert "hint: " in words
    assert "Traceback" not in words, words
    done = stack.run("verify-idempotency", check=False)
    assert done.returncode == 3, done.stdout
    assert seconds <= SECONDS
    counted = (
        "SELECT sum(amount::int) FROM fraud.batch_ledger, jsonb_each(intake) AS p, jsonb_each_text(p.value)"
    )
    assert 0 < scenario.execute(stack, f"{counted} AS f (fate, amount)")[0][0] < RECORDS
    what = "records deleted" if lose is delete_records else "topic recreated"
    bar(f"{what}, detector {'running' if while_running else 'started after'}: exit 3 in {seconds:.0f} s")
