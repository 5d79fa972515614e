"""Refused records against real services: looked at, sent again once, emptied and still on record."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from fraudctl.broker.log import WholeRecord, read_whole
from fraudctl.broker.topics import end_offsets, ensure_topic
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.database.dead_letters import DeadLetters, Letter
from fraudctl.database.migrations import migrate
from fraudctl.errors import RefusedError, UsageError
from fraudctl.events.codec import Transaction, encode, rfc3339
from fraudctl.operations.dead_letters import requeue as requeue_operation
from fraudctl.operations.dead_letters.inspect_letters import (
    LettersRequest,
    count_expired,
    list_letters,
    originals,
    purge_letters,
    show_letter,
)
from fraudctl.operations.dead_letters.requeue import Requeued, RequeueRequest, requeue_letters
from fraudctl.operations.verify.verify import verify
from tests.support.commands import fraudctl
from tests.support.databases import open_session, temporary_database
from tests.support.landed import land, make_topic, remove_topic, settings_for

pytestmark = pytest.mark.services

SECONDS = 20.0
# What each partition holds, and the reason that the detector gave when it came in, a while ago.
FUTURE, LATE, MALFORMED, CATEGORY = "future", "late", "malformed", "invalid_category"


def event(number: int, event_time: datetime, **fields: object) -> bytes:
    values: dict[str, object] = {
        "transaction_id": f"t-{number}",
        "event_time": rfc3339(round(event_time.timestamp() * 1000)),
        "card_id": "c-1",
        "merchant_id": "m-1",
        "category": "Food",
        "amount_minor": 100,
        "currency": "EUR",
        "country": "DE",
        "channel": "pos",
        **fields,
    }
    return encode(Transaction(**values))  # type: ignore[arg-type]


@dataclass
class Refused:
    """A topic with five refused records, and their letters in a database."""

    endpoints: Endpoints
    settings: Settings
    records: list[tuple[int, int, str, bytes]]

    def request(self, **options: object) -> LettersRequest:
        return LettersRequest(self.endpoints, self.settings, **options)  # type: ignore[arg-type]

    def requeue(self, **options: object) -> Requeued:
        return requeue_letters(RequeueRequest(self.endpoints, self.settings, **options))  # type: ignore[arg-type]

    def log(self) -> list[WholeRecord]:
        servers, topic = self.endpoints.bootstrap_servers, self.settings.kafka.topic
        ranges = end_offsets(servers, topic, timeout_seconds=SECONDS)
        return sorted(read_whole(servers, topic, ranges, timeout_seconds=SECONDS))

    def change(self, sql: str) -> int:
        with open_session(self.endpoints.postgres) as session:
            return session.execute(sql.encode()).rowcount

    def run(self, home: Path, *arguments: str) -> tuple[int, str, str]:
        done = fraudctl(
            self.endpoints, home, "deadletters", *arguments, kafka__topic=self.settings.kafka.topic
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def refused(endpoints: Endpoints) -> Iterator[Refused]:
    settings = settings_for(f"test-{uuid4().hex[:12]}")
    topic = settings.kafka.topic
    now = datetime.now(UTC)
    ago = now - timedelta(minutes=20)
    records = [
        (0, 0, FUTURE, event(1, now)),
        (0, 1, MALFORMED, b'{"pan": "4111111111111111"'),
        (0, 2, FUTURE, event(2, now)),
        (1, 0, LATE, event(3, now - timedelta(hours=1))),
        (1, 1, CATEGORY, event(4, now, category="Toys")),
    ]
    ensure_topic(endpoints.bootstrap_servers, settings.kafka, timeout_seconds=SECONDS)
    producer = Producer({"bootstrap.servers": endpoints.bootstrap_servers})
    arrival_ms = round(ago.timestamp() * 1000)
    for partition, offset, _, value in records:
        producer.produce(
            topic,
            value,
            b"card-%d" % offset,
            partition,
            timestamp=arrival_ms + offset,
            headers=[("trace", b"x")],
        )
    assert producer.flush(SECONDS) == 0
    try:
        with temporary_database(endpoints.postgres) as database:
            migrate(database, connect_seconds=5, lock_wait_seconds=10)
            with psycopg.connect(database.dsn(masked=False)) as connection:
                connection.cursor().executemany(
                    'INSERT INTO fraud.dead_letters (topic, partition, "offset", reason, arrival, payload,'
                    " payload_bytes, recorded_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                    [
                        (
                            topic,
                            partition,
                            offset,
                            reason,
                            datetime.fromtimestamp((arrival_ms + offset) / 1000, UTC),
                            value[:20],
                            len(value),
                            now - timedelta(days=offset),
                        )
                        for partition, offset, reason, value in records
                    ],
                )
            yield Refused(replace(endpoints, postgres=database), settings, records)
    finally:
        remove_topic(endpoints, topic)


def test_what_would_be_taken_now_is_sent_once_and_the_rest_is_named(refused: Refused) -> None:
    before = len(refused.log())
    result = refused.requeue(everything=True)
    assert [(each.partition, each.offset, each.to_offset) for each in result.sent] == [(0, 0, 3), (0, 2, 4)]
    assert {(each.partition, each.offset): each.reason for each in result.refused} == {
        (0, 1): MALFORMED,
        (1, 0): LATE,
        (1, 1): CATEGORY,
    }
    assert 'category is "Toys", must be one of' in [each.text for each in result.refused][2]
    assert not result.complete
    log = {(record.partition, record.offset): record for record in refused.log()}
    for original, copy in (((0, 0), (0, 3)), ((0, 2), (0, 4))):
        assert (log[copy].value, log[copy].key) == (log[original].value, log[original].key)
        assert log[copy].headers == {
            "trace": b"x",
            "fraudctl-requeued": f"{refused.settings.kafka.topic}/0/{original[1]}#1".encode(),
        }
        assert log[copy].arrival_ms > log[original].arrival_ms + 60_000

    second = refused.requeue(everything=True)
    assert (second.selected, second.already, second.sent) == (5, 2, ())
    assert len(refused.log()) == before + 2

    third = refused.requeue(reason=FUTURE, again=True)
    assert [each.to_offset for each in third.sent] == [5, 6]
    assert third.complete
    letter = show_letter(refused.request(), 0, 2).letter
    assert (letter.requeues, letter.requeued_to) == (2, 6)


def test_letters_are_taken_in_portions(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions of one letter or two give what a single one gives, in the order of the log."""
    whole = refused.requeue(everything=True, dry_run=True)
    sizes: list[int] = []

    def counting(endpoints: Endpoints, settings: Settings, letters: list[Letter]) -> dict[Any, WholeRecord]:
        sizes.append(len(letters))
        return originals(endpoints, settings, letters)

    monkeypatch.setattr(requeue_operation, "originals", counting)
    monkeypatch.setattr(requeue_operation, "_PAGE", 2)
    monkeypatch.setattr(requeue_operation, "_PORTION_BYTES", 300)
    parts = refused.requeue(everything=True, dry_run=True)
    assert (parts.selected, parts.sendable) == (whole.selected, whole.sendable) == (5, 2)
    places = [[(each.partition, each.offset) for each in result.refused] for result in (whole, parts)]
    assert places == [[(0, 1), (1, 0), (1, 1)]] * 2
    assert sizes == [2, 1, 1, 1]
    assert [each.to_offset for each in refused.requeue(everything=True).sent] == [3, 4]


def test_a_requeue_can_follow_another_at_once(refused: Refused) -> None:
    for _ in range(30):
        refused.requeue(everything=True, dry_run=True)


def test_a_copy_that_is_refused_meanwhile_is_not_sent_again(refused: Refused) -> None:
    """With --force a letter's copy may be refused at once; it is a letter of its own, for the next time."""
    refused.change("UPDATE fraud.dead_letters SET recorded_at = now() + interval '1 min' WHERE partition = 0")
    result = refused.requeue(everything=True, force=True)
    assert [(each.partition, each.offset) for each in result.sent] == [(1, 0), (1, 1)]
    assert result.selected == 2


def test_a_dry_run_sends_and_writes_nothing(refused: Refused) -> None:
    result = refused.requeue(everything=True, dry_run=True)
    assert (result.sendable, result.sent, len(result.refused)) == (2, (), 3)
    assert len(refused.log()) == 5
    assert refused.change("SELECT FROM fraud.dead_letter_requeues") == 0


def test_force_sends_what_would_be_refused_again(refused: Refused) -> None:
    result = refused.requeue(partition=0, offset=1, force=True)
    assert [each.to_offset for each in result.sent] == [3]
    assert refused.log()[3].value == b'{"pan": "4111111111111111"'


def test_a_crash_between_sending_and_writing_down_sends_nothing_twice(refused: Refused) -> None:
    """The copy is in the log, and its place was never written down."""
    refused.requeue(reason=FUTURE)
    assert refused.change("UPDATE fraud.dead_letter_requeues SET to_offset = NULL, requeued_at = NULL") == 2
    result = refused.requeue(reason=FUTURE)
    assert (result.recovered, result.already, result.sent) == (2, 2, ())
    assert len(refused.log()) == 7
    assert show_letter(refused.request(), 0, 2).letter.requeued_to == 4


def test_a_crash_between_claim_and_sending_loses_nothing(refused: Refused) -> None:
    with DeadLetters(refused.endpoints.postgres, connect_seconds=5) as letters:
        letters.claim(refused.settings.kafka.topic, [(0, 0, 3), (0, 2, 3)])
    result = refused.requeue(reason=FUTURE)
    assert (result.recovered, result.already) == (0, 0)
    assert [each.to_offset for each in result.sent] == [3, 4]


def test_what_retention_removed_is_named_and_the_rest_goes(refused: Refused) -> None:
    admin = AdminClient({"bootstrap.servers": refused.endpoints.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(refused.settings.kafka.topic, 0, 2)]).values():
        future.result(SECONDS)
    result = refused.requeue(reason=FUTURE)
    assert [(each.partition, each.offset) for each in result.gone] == [(0, 0)]
    assert [each.offset for each in result.sent] == [2]
    shown = show_letter(refused.request(), 0, 0)
    assert (shown.in_log, shown.field, shown.reason_now) == (False, None, None)
    assert shown.why == "the log no longer holds the record; the detector said future"


def test_another_record_at_the_same_place_is_not_sent(refused: Refused) -> None:
    """As after the topic was created again."""
    refused.change("UPDATE fraud.dead_letters SET arrival = arrival - interval '1 ms' WHERE partition = 0")
    result = refused.requeue(reason=FUTURE)
    assert (len(result.gone), result.sent, len(refused.log())) == (2, (), 5)


def test_two_requeues_at_once_are_refused(refused: Refused) -> None:
    with DeadLetters(refused.endpoints.postgres, connect_seconds=5) as letters:
        letters.lock_requeues()
        with pytest.raises(RefusedError, match="another"):
            refused.requeue(everything=True)
    assert refused.requeue(everything=True).sent


@pytest.mark.parametrize(
    "options", [{}, {"everything": True, "reason": LATE}, {"partition": 0}, {"offset": 1, "everything": True}]
)
def test_a_requeue_says_which_letters(refused: Refused, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        refused.requeue(**options)


def test_letters_are_listed_newest_first_with_counts(refused: Refused) -> None:
    result = list_letters(refused.request(limit=2))
    assert {each.reason: each.letters for each in result.counts} == {
        FUTURE: 2,
        LATE: 1,
        MALFORMED: 1,
        CATEGORY: 1,
    }
    assert [(letter.partition, letter.offset) for letter in result.letters] == [(0, 2), (0, 1)]
    assert list_letters(refused.request(since_seconds=600.0)).total == 0
    assert list_letters(refused.request(since_seconds=1800.0, reason=LATE)).total == 1


def test_a_letter_is_explained_from_the_record_and_not_from_what_is_kept(refused: Refused) -> None:
    shown = show_letter(refused.request(), 0, 1)
    assert shown.why == "the message is not JSON: expecting ',' delimiter at character 26"
    assert (shown.field, shown.reason_now) == (None, MALFORMED)
    wrong = show_letter(refused.request(), 1, 1)
    assert (wrong.field, wrong.reason_now) == ("category", CATEGORY)
    with pytest.raises(RefusedError, match="no dead letter"):
        show_letter(refused.request(), 1, 7)


def test_a_purge_removes_payloads_and_keeps_the_fact(refused: Refused) -> None:
    day = 86_400.0
    assert count_expired(refused.request(), day / 2) == 3
    purged = purge_letters(refused.request(), day / 2)
    assert (purged.letters, purged.payload_bytes) == (3, 60)
    assert purge_letters(refused.request(), day / 2).letters == 0
    letters = {
        (letter.partition, letter.offset): letter for letter in list_letters(refused.request()).letters
    }
    assert {place for place, letter in letters.items() if letter.purged_at} == {(0, 1), (0, 2), (1, 1)}
    assert letters[0, 1].payload == ""
    assert (letters[0, 1].reason, letters[0, 1].payload_bytes) == (MALFORMED, 26)
    # The record itself is still in the log, so a purged letter can be sent again.
    assert [each.offset for each in refused.requeue(partition=0, offset=2).sent] == [2]


def test_verify_agrees_after_a_purge(endpoints: Endpoints) -> None:
    settings = settings_for(f"test-{uuid4().hex[:12]}")
    make_topic(endpoints, settings)
    try:
        with temporary_database(endpoints.postgres) as database:
            landed = land(replace(endpoints, postgres=database), settings)
            landed.change("UPDATE fraud.dead_letters SET recorded_at = now() - interval '31 days'")
            request = LettersRequest(landed.request.endpoints, settings)
            assert purge_letters(request, 30 * 86_400.0).letters == 3
            assert verify(landed.request).verdict == "ok"
    finally:
        remove_topic(endpoints, settings.kafka.topic)


def test_the_commands_as_a_user_types_them(refused: Refused, tmp_path: Path) -> None:
    code, out, _ = refused.run(tmp_path, "list", "--reason", "future")
    assert code == 0
    assert out.splitlines()[1].split() == ["future", "2"]

    code, out, _ = refused.run(tmp_path, "show", "1", "1", "--json")
    assert (code, json.loads(out)["field"]) == (0, "category")
    code, out, _ = refused.run(tmp_path, "show", "0", "1")
    assert "why       the message is not JSON" in out

    assert refused.run(tmp_path, "show", "0", "99")[0] == 3
    assert refused.run(tmp_path, "requeue")[0] == 2
    code, out, _ = refused.run(tmp_path, "requeue", "--all")
    assert code == 1
    assert "2 sent again" in out
    assert "3 would only be refused again (--force sends them): " in out
    assert refused.run(tmp_path, "requeue", "--reason", "future")[0] == 0

    code, _, err = refused.run(tmp_path, "purge", "--older-than", "12h")
    assert (code, "add --yes" in err) == (2, True)
    code, out, _ = refused.run(tmp_path, "purge", "--older-than", "12h", "--yes", "--json")
    assert (code, json.loads(out)["letters"]) == (0, 3)
    code, out, _ = refused.run(tmp_path, "purge", "--yes", "--json")
    assert (code, json.loads(out)["letters"]) == (0, 0)
