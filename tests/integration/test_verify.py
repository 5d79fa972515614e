"""The verifier can fail: whatever is tampered with, it says so and names the row."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from fraudctl.config.endpoints import Endpoints
from fraudctl.config.load import load
from fraudctl.config.model import Settings
from fraudctl.config.rules_file import read_rules_document
from fraudctl.database.migrations import migrate
from fraudctl.errors import DataError, ExitCode, RefusedError, UnreachableError
from fraudctl.operations.verify import Progress, Verification, VerifyRequest, verify
from fraudctl.ui.text.verify import verification
from tests.integration.databases import temporary_database
from tests.integration.landed import Landed, land, make_topic, remove_topic, settings_for

pytestmark = pytest.mark.services

METRICS = "UPDATE fraud.fraud_metrics SET"
FOOD = "WHERE window_start = '2026-03-10 11:55Z'"
LEDGER = "UPDATE fraud.batch_ledger SET"
COPY_ROW = """
INSERT INTO fraud.batch_ledger
SELECT query_id, 9, 2, cluster_id, topic, topic_id, offsets, intake, watermark, rows, digest, fingerprint
  FROM fraud.batch_ledger WHERE batch_id = 1
"""
# The windows at 01:00 hold two events, one of them flagged.
RETAIL = "WHERE window_start = '2026-03-10 01:00Z'"


@dataclass(frozen=True)
class Mutant:
    """One thing done to a sound state, and a line that the report must hold."""

    name: str
    sql: str
    line: str


MUTANTS = [
    Mutant(
        "one count too many",
        f"{METRICS} count = count + 1 {FOOD}",
        "differs  fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food:"
        " count expected 1, stored 2",
    ),
    Mutant(
        "one count too few",
        f"{METRICS} count = count - 1 {RETAIL}",
        "differs  fraud_metrics 2026-03-10T01:00:00Z to 2026-03-10T01:10:00Z Retail:"
        " count expected 2, stored 1",
    ),
    Mutant(
        "flagged_count",
        f"{METRICS} flagged_count = flagged_count + 1 {RETAIL}",
        "differs  fraud_metrics 2026-03-10T01:00:00Z to 2026-03-10T01:10:00Z Retail:"
        " flagged_count expected 1, stored 2",
    ),
    Mutant(
        "amount",
        f"{METRICS} amount_minor = amount_minor - 1 {FOOD}",
        "differs  fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food:"
        " amount_minor expected 1250, stored 1249",
    ),
    Mutant(
        "flagged amount",
        f"{METRICS} flagged_amount_minor = 0 {RETAIL}",
        "differs  fraud_metrics 2026-03-10T01:00:00Z to 2026-03-10T01:10:00Z Retail:"
        " flagged_amount_minor expected 20002, stored 0",
    ),
    Mutant(
        "row deleted",
        f"DELETE FROM fraud.fraud_metrics {FOOD}",
        "missing  fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food:"
        " expected (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0), stored no row",
    ),
    Mutant(
        "row added",
        "INSERT INTO fraud.fraud_metrics"
        " VALUES ('2026-03-10 12:01Z', '2026-03-10 12:11Z', 'Food', 1, 0, 5, 0)",
        "extra    fraud_metrics 2026-03-10T12:01:00Z to 2026-03-10T12:11:00Z Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 5, flagged_amount_minor 0)",
    ),
    Mutant(
        "row copied to another category",
        "INSERT INTO fraud.fraud_metrics SELECT window_start, window_end, 'food', 1, 0, 1, 0"
        f" FROM fraud.fraud_metrics {FOOD}",
        "extra    fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1, flagged_amount_minor 0)",
    ),
    Mutant(
        "window shifted by a minute",
        f"{METRICS} window_start = window_start + '1 minute'::interval, window_end = window_end + '1 minute'"
        "::interval WHERE window_start = '2026-03-10 12:00Z'",
        "extra    fraud_metrics 2026-03-10T12:01:00Z to 2026-03-10T12:11:00Z Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0)",
    ),
    Mutant(
        "window a microsecond longer",
        f"{METRICS} window_end = window_end + '1 microsecond'::interval {FOOD}",
        "extra    fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00.000001Z Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0)",
    ),
    Mutant(
        "windows in the wrong zone",
        f"{METRICS} window_start = window_start + '4 hours'::interval,"
        " window_end = window_end + '4 hours'::interval WHERE category = 'Food'",
        "missing  fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food:"
        " expected (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0), stored no row",
    ),
    Mutant(
        "all windows gone",
        "DELETE FROM fraud.fraud_metrics",
        "missing  fraud_metrics 2026-03-10T00:50:00Z to 2026-03-10T01:00:00Z Retail:"
        " expected (count 1, flagged_count 0, amount_minor 20001, flagged_amount_minor 0), stored no row",
    ),
    Mutant(
        "first ledger row gone",
        "DELETE FROM fraud.batch_ledger WHERE batch_id = 0",
        "batch    batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001:"
        " expected batch 0, stored batch 1",
    ),
    Mutant(
        "ledger row in the middle gone",
        "DELETE FROM fraud.batch_ledger WHERE batch_id = 1",
        "gap      batch_ledger batch 2 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected a range that begins at 3, stored 6 to 9",
    ),
    Mutant(
        "last ledger row gone",
        "DELETE FROM fraud.batch_ledger WHERE batch_id = 2",
        "extra    fraud_metrics 2026-03-10T05:00:00Z to 2026-03-10T05:10:00Z Retail:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 20008, flagged_amount_minor 0)",
    ),
    Mutant(
        "all ledger rows gone",
        "DELETE FROM fraud.batch_ledger",
        "extra    fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0)",
    ),
    Mutant(
        "ledger row twice",
        COPY_ROW,
        "overlap  batch_ledger batch 9 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected a range that begins at 9, stored 3 to 6",
    ),
    Mutant(
        "range shifted",
        f"""{LEDGER} offsets = '{{"0": [4, 7], "1": [1, 1]}}' WHERE batch_id = 1""",
        "gap      batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected a range that begins at 3, stored 4 to 7",
    ),
    Mutant(
        "last range shifted beyond the log",
        f"""{LEDGER} offsets = '{{"0": [7, 10], "1": [1, 1]}}' WHERE batch_id = 2""",
        "log      batch_ledger: expected offsets that the log holds, stored partition 0 ends at offset 9,"
        " and 10 was reached before",
    ),
    Mutant(
        "range that begins below zero",
        f"""{LEDGER} offsets = '{{"0": [-1, 3], "1": [0, 1]}}' WHERE batch_id = 0""",
        "range    batch_ledger batch 0 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected 0 <= first <= last, stored -1 to 3",
    ),
    Mutant(
        "border between two ranges moved",
        f"""{LEDGER} offsets = CASE batch_id WHEN 1 THEN '{{"0": [3, 7]}}' ELSE '{{"0": [7, 9]}}' END::jsonb
            WHERE batch_id > 0""",
        "intake   batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected admitted 4, stored admitted 3",
    ),
    Mutant(
        "intake too high",
        f"""{LEDGER} intake = '{{"0": {{"admitted": 4}}}}' WHERE batch_id = 1""",
        "intake   batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected admitted 3, stored admitted 4",
    ),
    Mutant(
        "intake under another reason",
        f"""{LEDGER} intake = '{{"0": {{"admitted": 1, "malformed": 2}}, "1": {{"late": 1}}}}'
            WHERE batch_id = 0""",
        "intake   batch_ledger batch 0 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected admitted 1, invalid_currency 1, malformed 1, stored admitted 1, malformed 2",
    ),
    Mutant(
        "watermark that would have dropped events",
        f"{LEDGER} watermark = '2026-03-10 04:59:59.999999Z' WHERE batch_id = 1",
        "extra    fraud_metrics 2026-03-10T04:50:00Z to 2026-03-10T05:00:00Z Retail:"
        " expected no row, stored (count 1, flagged_count 1, amount_minor 20004, flagged_amount_minor 20004)",
    ),
    Mutant(
        "dead letter hidden",
        "DELETE FROM fraud.dead_letters WHERE reason = 'late'",
        "missing  dead_letters {topic} partition 1 offset 0: expected late, stored no row",
    ),
    Mutant(
        "dead letter with another reason",
        "UPDATE fraud.dead_letters SET reason = 'future' WHERE reason = 'late'",
        "differs  dead_letters {topic} partition 1 offset 0: expected late, stored future",
    ),
    Mutant(
        "dead letter too many",
        "INSERT INTO fraud.dead_letters SELECT topic, 0, 5, reason, arrival, payload, 0"
        " FROM fraud.dead_letters WHERE reason = 'late'",
        "extra    dead_letters {topic} partition 0 offset 5: expected no row, stored late",
    ),
    Mutant(
        "dead letter of another topic",
        "UPDATE fraud.dead_letters SET topic = 'elsewhere' WHERE reason = 'late'",
        "extra    dead_letters elsewhere partition 1 offset 0: expected no row, stored late",
    ),
]


@pytest.fixture(scope="module")
def settings(endpoints: Endpoints) -> Iterator[Settings]:
    settings = settings_for(f"test-{uuid4().hex[:12]}")
    make_topic(endpoints, settings)
    yield settings
    remove_topic(endpoints, settings.kafka.topic)


@pytest.fixture
def landed(endpoints: Endpoints, settings: Settings) -> Iterator[Landed]:
    with temporary_database(endpoints.postgres) as database:
        yield land(replace(endpoints, postgres=database), settings)


def report(result: Verification) -> list[str]:
    return verification(result, limit=1000).splitlines()


def test_a_sound_state_passes(landed: Landed) -> None:
    seen: list[Progress] = []
    result = verify(landed.request, seen.append)
    assert result.verdict == "ok"
    assert result.differences == 0
    assert (result.batches, result.events_read, result.offsets_without_event) == (3, 10, 0)
    assert result.ranges == {0: (0, 9), 1: (0, 1)}
    assert result.fates == {
        "counted": 6,
        "duplicate": 1,
        "dropped_by_engine": 0,
        "malformed": 1,
        "invalid_currency": 1,
        "late": 1,
    }
    assert (result.rows_compared, result.dead_letters_compared) == (32, 3)
    assert seen[-1] == Progress(10, 10)
    assert report(result)[-1].startswith("PASS: all 32 rows and 3 dead letters agree with the log")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_changed_state_is_detected_and_named(landed: Landed, mutant: Mutant) -> None:
    assert landed.change(mutant.sql) > 0
    result = verify(landed.request)
    assert result.verdict == "differences"
    lines = report(result)
    assert mutant.line.format(topic=landed.request.settings.kafka.topic) in lines
    assert lines[-1].startswith("FAIL: ")


def test_every_amount_of_every_row_counts(landed: Landed) -> None:
    """Not a sample: every row is changed by one, and exactly that is named."""
    for column in ("amount_minor", "flagged_amount_minor"):
        assert landed.change(f"UPDATE fraud.fraud_metrics SET {column} = {column} + 1") == 32
        result = verify(landed.request)
        assert {row.columns for row in result.window_differences} == {(column,)}
        assert len(result.window_differences) == 32
        landed.change(f"UPDATE fraud.fraud_metrics SET {column} = {column} - 1")
    assert verify(landed.request).verdict == "ok"


def test_a_later_unrelated_record_in_the_topic_changes_nothing(landed: Landed) -> None:
    """The ledger says what was read, not the topic's end."""
    landed.change("DELETE FROM fraud.batch_ledger WHERE batch_id > 0")
    landed.change("DELETE FROM fraud.fraud_metrics WHERE category = 'Retail'")
    result = verify(landed.request)
    assert (result.verdict, result.events_read) == ("ok", 4)


def test_long_lists_are_cut_and_say_so(landed: Landed) -> None:
    landed.change("DELETE FROM fraud.fraud_metrics")
    lines = verification(verify(landed.request), limit=5).splitlines()
    assert sum(line.startswith("missing") for line in lines) == 5
    assert "… and 27 more: --limit N shows more, --json shows all" in lines


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (f"{LEDGER} fingerprint = 'other'", "fingerprint of events, windows, lateness and rules"),
        (f"{LEDGER} fingerprint = 'other' WHERE batch_id = 1", "fingerprint of events"),
        (f"{LEDGER} topic_id = 'AAAAAAAAAAAAAAAAAAAAAA'", "topic's id"),
        (f"{LEDGER} topic_id = 'AAAAAAAAAAAAAAAAAAAAAA' WHERE batch_id = 2", "topic's id"),
        (f"{LEDGER} cluster_id = 'elsewhere'", "Kafka cluster"),
        (f"{LEDGER} topic = 'elsewhere'", "the topic is not"),
    ],
)
def test_another_origin_is_refused_and_not_judged(landed: Landed, sql: str, words: str) -> None:
    assert landed.change(sql) > 0
    with pytest.raises(RefusedError, match=words) as caught:
        verify(landed.request)
    assert caught.value.exit_code == ExitCode.REFUSED
    assert caught.value.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("windows.length_minutes", 5),
        ("lateness.late_seconds", 299),
        ("lateness.slack_seconds", 481),
        ("events.max_bytes", 512),
        ("events.categories", ["Retail", "Food", "Electronics", "Travel"]),
    ],
)
def test_other_settings_are_refused(landed: Landed, key: str, value: object) -> None:
    kafka = landed.request.settings.kafka
    changed = load(
        flags={
            "kafka.topic": kafka.topic,
            "kafka.partitions": 2,
            "kafka.timestamp_type": "CreateTime",
            key: value,
        }
    ).settings
    with pytest.raises(RefusedError, match="fingerprint"):
        verify(replace(landed.request, settings=changed))


def test_other_rules_are_refused(landed: Landed) -> None:
    with pytest.raises(RefusedError, match="fingerprint"):
        verify(replace(landed.request, rules_document={"rules": []}))


def test_a_range_beyond_the_log_is_refused(landed: Landed) -> None:
    """The ledger does not contradict itself: the records that it names are simply not there."""
    landed.change(f"""{LEDGER} offsets = '{{"0": [6, 10], "1": [1, 1]}}' WHERE batch_id = 2""")
    with pytest.raises(RefusedError, match="no longer holds") as caught:
        verify(landed.request)
    assert "ends at offset 9" in caught.value.detail


def test_a_range_that_retention_has_eaten_is_refused(endpoints: Endpoints) -> None:
    settings = settings_for(f"test-{uuid4().hex[:12]}")
    make_topic(endpoints, settings)
    try:
        with temporary_database(endpoints.postgres) as database:
            landed = land(replace(endpoints, postgres=database), settings)
            admin = AdminClient({"bootstrap.servers": endpoints.bootstrap_servers})
            for future in admin.delete_records([TopicPartition(settings.kafka.topic, 0, 1)]).values():
                future.result(20.0)
            with pytest.raises(RefusedError, match="no longer holds") as caught:
                verify(landed.request)
            assert "begins at offset 1" in caught.value.detail
    finally:
        remove_topic(endpoints, settings.kafka.topic)


def test_nothing_landed_is_refused(landed: Landed) -> None:
    for table in ("fraud_metrics", "batch_ledger", "dead_letters"):
        landed.change(f"DELETE FROM fraud.{table}")
    with pytest.raises(RefusedError, match="nothing has landed yet") as caught:
        verify(landed.request)
    assert "fraudctl detect" in caught.value.hint


def test_a_ledger_that_has_read_nothing_is_refused(landed: Landed) -> None:
    landed.change("DELETE FROM fraud.fraud_metrics")
    landed.change("DELETE FROM fraud.dead_letters")
    landed.change("DELETE FROM fraud.batch_ledger WHERE batch_id > 0")
    landed.change(f"""{LEDGER} offsets = '{{"0": [0, 0], "1": [0, 0]}}', intake = '{{}}'""")
    with pytest.raises(RefusedError, match="nothing has landed yet"):
        verify(landed.request)


def test_a_database_that_was_not_migrated_is_refused(endpoints: Endpoints, settings: Settings) -> None:
    with temporary_database(endpoints.postgres) as database:
        request = VerifyRequest(
            replace(endpoints, postgres=database), settings, read_rules_document(settings.rules.file)
        )
        with pytest.raises(RefusedError, match="does not have the pipeline's tables") as caught:
            verify(request)
        assert "fraudctl migrate" in caught.value.hint
        migrate(database, connect_seconds=5.0, lock_wait_seconds=20.0)
        with pytest.raises(RefusedError, match="nothing has landed yet"):
            verify(request)


def test_a_ledger_row_that_no_detector_wrote_is_named(landed: Landed) -> None:
    landed.change(f"""{LEDGER} offsets = '{{"0": "all"}}' WHERE batch_id = 1""")
    with pytest.raises(DataError, match="batch 1 of query 00000000-0000-0000-0000-000000000001"):
        verify(landed.request)


def test_no_broker_is_named(landed: Landed) -> None:
    settings = landed.request.settings
    hurried = settings.model_copy(
        update={"timeouts": settings.timeouts.model_copy(update={"connect_seconds": 0.5})}
    )
    nowhere = replace(landed.request.endpoints, bootstrap_servers="127.0.0.1:1")
    with pytest.raises(UnreachableError, match=r"Kafka does not answer at 127\.0\.0\.1:1"):
        verify(replace(landed.request, settings=hurried, endpoints=nowhere))
