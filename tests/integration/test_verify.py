"""The verifier can fail: whatever is tampered with, it says so and names the row."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from fraudctl.config.endpoints import Endpoints
from fraudctl.config.load import load
from fraudctl.config.model import Settings
from fraudctl.database.migrations import migrate
from fraudctl.database.snapshot import read_snapshot
from fraudctl.errors import DataError, ExitCode, RefusedError, UnreachableError
from fraudctl.operations.verify import recount_log
from fraudctl.operations.verify.recount_log import Progress
from fraudctl.operations.verify.verify import Verification, VerifyRequest, verify
from fraudctl.ui.text.verify import verification
from tests.support.bars import Bar
from tests.support.databases import temporary_database
from tests.support.landed import Landed, land, make_topic, remove_topic, settings_for
from tests.support.mutants import LEDGER, MUTANTS, Mutant

pytestmark = pytest.mark.services


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
    assert (result.alerts_compared, result.flags_compared, result.rule_sets) == (2, 3, 3)
    assert report(result)[-1].startswith(
        "PASS: all 32 rows, 3 dead letters, 2 alerts and 3 flags agree with the log, 10 events recounted"
    )


@pytest.mark.bar(2, "the verifier can fail: mutations of the landed state", target=">= 12 kinds, all named")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_changed_state_is_detected_and_named(landed: Landed, bar: Bar, mutant: Mutant) -> None:
    assert landed.change(mutant.sql) > 0
    result = verify(landed.request)
    assert result.verdict == "differences"
    lines = report(result)
    assert mutant.line.format(topic=landed.request.settings.kafka.topic) in lines
    assert lines[-1].startswith("FAIL: ")
    bar("named")


@pytest.mark.parametrize("cards", [True, False], ids=["rules on cards", "no rules on cards"])
def test_two_processes_say_the_same_as_one(
    landed: Landed, monkeypatch: pytest.MonkeyPatch, cards: bool
) -> None:
    if not cards:
        landed.change(f"{LEDGER} fingerprint = replace(fingerprint, 'rules.card_horizon_seconds=600', '')")
    for changed in ("", "UPDATE fraud.fraud_alerts SET score = 3", "DELETE FROM fraud.dead_letters"):
        if changed:
            landed.change(changed)
        one = verify(landed.request)
        with monkeypatch.context() as patch:
            patch.setattr(recount_log, "processes_for", lambda _events: 2)
            seen: list[Progress] = []
            two = verify(landed.request, seen.append)
        assert seen[-1] == Progress(10, 10)
        assert replace(two, seconds=0.0) == replace(one, seconds=0.0)


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
    landed.change("DELETE FROM fraud.fraud_alerts")
    landed.change("DELETE FROM fraud.fraud_flags")
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
        (f"{LEDGER} fingerprint = 'other'", "fingerprint of events, windows and lateness"),
        (f"{LEDGER} fingerprint = 'other' WHERE batch_id = 1", "fingerprint of events"),
        (f"{LEDGER} fingerprint = replace(fingerprint, '=600', '=1200') WHERE batch_id = 2", "fingerprint"),
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
    for table in ("fraud_metrics", "batch_ledger", "dead_letters", "fraud_alerts", "fraud_flags"):
        landed.change(f"DELETE FROM fraud.{table}")
    with pytest.raises(RefusedError, match="nothing has landed yet") as caught:
        verify(landed.request)
    assert "fraudctl detect" in caught.value.hint


def test_a_ledger_that_has_read_nothing_is_refused(landed: Landed) -> None:
    landed.change("DELETE FROM fraud.fraud_metrics")
    landed.change("DELETE FROM fraud.fraud_alerts")
    landed.change("DELETE FROM fraud.fraud_flags")
    landed.change("DELETE FROM fraud.dead_letters")
    landed.change("DELETE FROM fraud.batch_ledger WHERE batch_id > 0")
    landed.change(f"""{LEDGER} offsets = '{{"0": [0, 0], "1": [0, 0]}}', intake = '{{}}'""")
    with pytest.raises(RefusedError, match="nothing has landed yet"):
        verify(landed.request)


def test_a_database_that_was_not_migrated_is_refused(endpoints: Endpoints, settings: Settings) -> None:
    with temporary_database(endpoints.postgres) as database:
        request = VerifyRequest(replace(endpoints, postgres=database), settings)
        with pytest.raises(RefusedError, match="does not have the pipeline's tables") as caught:
            verify(request)
        assert "fraudctl migrate" in caught.value.hint
        migrate(database, connect_seconds=5.0, lock_wait_seconds=20.0)
        with pytest.raises(RefusedError, match="nothing has landed yet"):
            verify(request)


def test_a_replay_does_not_start_from_a_ledger_that_no_detector_wrote(landed: Landed) -> None:
    landed.change(f"""{LEDGER} offsets = '{{"0": "all"}}' WHERE batch_id = 1""")
    with pytest.raises(DataError, match="batch 1 of query 00000000-0000-0000-0000-000000000001"):
        read_snapshot(landed.request.endpoints.postgres, connect_seconds=5.0)


def test_a_payload_kept_under_another_setting_is_noted_and_agrees(landed: Landed) -> None:
    landed.change("UPDATE fraud.dead_letters SET payload = substring(payload, 1, 9) WHERE reason = 'late'")
    result = verify(landed.request)
    assert result.verdict == "ok"
    assert result.letters_cut_elsewhere == ((result.topic, 1, 0),)
    assert any("1 payload of dead letters not as long as" in line for line in report(result))


def test_what_lies_beyond_the_ledger_is_told_and_changes_no_verdict(landed: Landed) -> None:
    assert verify(landed.request).not_landed == 0
    landed.change("DELETE FROM fraud.batch_ledger WHERE batch_id > 0")
    landed.change("DELETE FROM fraud.fraud_metrics WHERE category = 'Retail'")
    landed.change("DELETE FROM fraud.fraud_alerts")
    landed.change("DELETE FROM fraud.fraud_flags")
    result = verify(landed.request)
    assert (result.verdict, result.not_landed) == ("ok", 6)
    assert "           not landed yet: 6" in report(result)


def test_no_broker_is_named(landed: Landed) -> None:
    settings = landed.request.settings
    hurried = settings.model_copy(
        update={"timeouts": settings.timeouts.model_copy(update={"connect_seconds": 0.5})}
    )
    nowhere = replace(landed.request.endpoints, bootstrap_servers="127.0.0.1:1")
    with pytest.raises(UnreachableError, match=r"Kafka does not answer at 127\.0\.0\.1:1"):
        verify(replace(landed.request, settings=hurried, endpoints=nowhere))
