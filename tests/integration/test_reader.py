"""The concurrent reader of the fault tests bites: a writer that is broken in any of these ways is caught."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.load import load
from fraudctl.database.landing import DeadLetter, Landing, MicroBatch, Source, WindowRow
from fraudctl.database.lease import Holder
from fraudctl.database.migrations import migrate
from tests.support.databases import open_session, temporary_database
from tests.support.reader import Reader
from tests.support.scenario import wait_for

pytestmark = pytest.mark.services

MINUTE = 60_000_000
QUERY = "11111111-2222-4333-8444-555555555555"
NEWEST = "(SELECT max(committed_at) FROM fraud.batch_ledger)"


@pytest.fixture
def database(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        yield endpoint


@pytest.fixture
def landing(database: PostgresEndpoint) -> Iterator[Landing]:
    writer = Landing(
        database,
        Source("cluster", "transactions", "topic-id", "fingerprint"),
        load().settings.landing,
        holder=Holder("test", ""),
        connect_seconds=5,
        stopping=lambda: False,
        on_retry=lambda _line: None,
    )
    writer.acquire()
    yield writer
    writer.close()


@pytest.fixture
def looking(database: PostgresEndpoint) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.dsn(masked=False)) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection


def batch(batch_id: int, *, minute: int = 0) -> MicroBatch:
    """Three more events in each of ten windows, and one record that is refused."""
    total = 3 * (batch_id + 1) if minute == 0 else 3
    return MicroBatch(
        query_id=QUERY,
        batch_id=batch_id,
        offsets={0: (batch_id * 4, batch_id * 4 + 4)},
        intake={0: {"admitted": 3, "malformed": 1}},
        watermark_ms=0,
        windows=tuple(
            WindowRow((minute + k) * MINUTE, (minute + k + 10) * MINUTE, "Food", total, 1, total * 100, 100)
            for k in range(10)
        ),
        dead_letters=(DeadLetter(0, batch_id * 4, "malformed", 5_000_000, b"{", 1),),
    )


def seen(reader: Reader) -> tuple[bool, bool]:
    return bool(reader.half), bool(reader.regressing)


def test_a_sound_writer_is_found_sound(
    database: PostgresEndpoint, landing: Landing, looking: psycopg.Connection[Any]
) -> None:
    """Among it: an empty database, a batch without rows, one that is landed again."""
    reader = Reader(database.dsn(masked=False))
    reader.look(looking)
    for step in (
        batch(0),
        batch(1),
        batch(1),
        MicroBatch(QUERY, 2, {0: (8, 8)}, {}, 0, (), ()),
        batch(2 + 1, minute=20),
    ):
        landing.land(step)
        reader.look(looking)
    assert seen(reader) == (False, False)
    reader.check()
    assert reader.figure() == "6 snapshots, 0 regressing, 0 half"


HALF = {
    "windows without their ledger": "DELETE FROM fraud.batch_ledger WHERE batch_id = 1",
    "a ledger without its windows": (
        "INSERT INTO fraud.batch_ledger SELECT query_id, 2, epoch, cluster_id, topic, topic_id, offsets,"
        " intake, watermark, rows, digest, fingerprint FROM fraud.batch_ledger WHERE batch_id = 1"
    ),
    "a row ahead of the ledger": (
        "UPDATE fraud.fraud_metrics SET count = count + 1 WHERE window_start = 'epoch'"
    ),
    "amounts that the ledger does not know": (
        "UPDATE fraud.fraud_metrics SET amount_minor = amount_minor + 1 WHERE window_start = 'epoch'"
    ),
    "rows written beside the merge": "UPDATE fraud.fraud_metrics SET updated_at = clock_timestamp()",
    "two rows that make up for each other": (
        "UPDATE fraud.fraud_metrics SET count = count + CASE WHEN window_start = 'epoch' THEN 1 ELSE -1"
        " END WHERE window_start <= timestamptz 'epoch' + interval '1 minute'"
    ),
    "staging of another batch": "DELETE FROM fraud.fraud_staging_metrics WHERE window_start = 'epoch'",
    "a dead letter that is missing": 'DELETE FROM fraud.dead_letters WHERE "offset" = 0',
}


@pytest.mark.parametrize("sql", HALF.values(), ids=HALF)
def test_half_a_batch_is_caught(
    database: PostgresEndpoint, landing: Landing, looking: psycopg.Connection[Any], sql: str
) -> None:
    reader = Reader(database.dsn(masked=False))
    landing.land(batch(0))
    landing.land(batch(1))
    reader.look(looking)
    assert seen(reader) == (False, False)
    with open_session(database) as session:
        assert session.execute(sql.encode()).rowcount > 0
    reader.look(looking)
    assert reader.half
    with pytest.raises(AssertionError, match="half a batch"):
        reader.check()


BACK = {
    "a lowered count": "UPDATE fraud.fraud_metrics SET count = count - 1 WHERE window_start = 'epoch'",
    "a lowered amount": "UPDATE fraud.fraud_metrics SET amount_minor = 0 WHERE window_start = 'epoch'",
    "a row that disappears": "DELETE FROM fraud.fraud_metrics WHERE window_start = 'epoch'",
    "a batch that is taken back": "DELETE FROM fraud.batch_ledger WHERE batch_id = 1",
}


@pytest.mark.parametrize("sql", BACK.values(), ids=BACK)
def test_going_back_is_caught(
    database: PostgresEndpoint, landing: Landing, looking: psycopg.Connection[Any], sql: str
) -> None:
    reader = Reader(database.dsn(masked=False))
    landing.land(batch(0))
    landing.land(batch(1))
    reader.look(looking)
    with open_session(database) as session:
        assert session.execute(sql.encode()).rowcount == 1
    reader.look(looking)
    assert reader.regressing


def test_a_writer_that_commits_step_by_step_is_caught_between_its_steps(
    database: PostgresEndpoint, landing: Landing, looking: psycopg.Connection[Any]
) -> None:
    """The naive design: staging, merge and ledger each in a transaction of its own."""
    reader = Reader(database.dsn(masked=False))
    landing.land(batch(0))
    reader.look(looking)
    assert not reader.half
    steps: list[Callable[[psycopg.Connection[Any]], object]] = [
        lambda session: session.execute(
            "UPDATE fraud.fraud_staging_metrics SET count = 6, amount_minor = 600"
        ),
        lambda session: session.execute(
            "UPDATE fraud.fraud_metrics SET count = 6, amount_minor = 600, updated_at = now()"
        ),
    ]
    caught = []
    with open_session(database) as session:
        for step in steps:
            step(session)
            known = len(reader.half)
            reader.look(looking)
            caught.append(len(reader.half) > known)
    assert caught == [True, True]


def test_the_thread_looks_by_itself_and_outlives_a_lost_connection(
    database: PostgresEndpoint, landing: Landing
) -> None:
    landing.land(batch(0))
    with Reader(database.dsn(masked=False)) as reader:
        wait_for("the first looks", lambda: reader.looks > 1)
        with open_session(database) as session:
            ended = session.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'reader' AND datname = current_database()"
            ).fetchone()
        assert ended == (1,)
        known = reader.looks
        landing.land(batch(1))
        wait_for("more looks", lambda: reader.looks > known + 1)
    assert seen(reader) == (False, False)
