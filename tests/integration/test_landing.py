"""Landing against a real PostgreSQL: once, whole, and only by whoever holds the lease."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.load import load
from fraudctl.database import lease
from fraudctl.database.landing import DeadLetter, Landing, MicroBatch, Source, WindowRow
from fraudctl.database.lease import Holder
from fraudctl.database.migrations import migrate
from fraudctl.errors import DataError, FencedError, UnreachableError
from tests.integration.databases import temporary_database

pytestmark = pytest.mark.services

MINUTE = 60_000_000
QUERY = "11111111-2222-4333-8444-555555555555"
WriterMaker = Callable[..., Landing]


@pytest.fixture
def database(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    """A database of its own, with all migrations."""
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        yield endpoint


@pytest.fixture
def writer(database: PostgresEndpoint) -> Iterator[WriterMaker]:
    opened: list[Landing] = []

    def make(endpoint: PostgresEndpoint = database, name: str = "test", **flags: object) -> Landing:
        settings = load(flags={f"landing.{key}": value for key, value in flags.items()}).settings
        landing = Landing(
            endpoint,
            Source("cluster", "transactions", "topic-id", "fingerprint"),
            settings.landing,
            holder=Holder(name, ""),
            connect_seconds=2,
            stopping=lambda: False,
            on_retry=lambda _line: None,
        )
        opened.append(landing)
        return landing

    yield make
    for landing in opened:
        landing.close()


def batch(batch_id: int = 0, *, count: int = 3, letters: int = 1, category: str = "Food") -> MicroBatch:
    return MicroBatch(
        query_id=QUERY,
        batch_id=batch_id,
        offsets={0: (batch_id * 10, batch_id * 10 + 10)},
        intake={0: {"admitted": 10 - letters, "malformed": letters}},
        watermark_ms=batch_id * 1000,
        windows=tuple(
            WindowRow(start * MINUTE, (start + 10) * MINUTE, category, count, 1, count * 100, 100)
            for start in range(10)
        ),
        dead_letters=tuple(
            DeadLetter(0, batch_id * 10 + number, "malformed", 5_000_000, b"\x00{", 2)
            for number in range(letters)
        ),
    )


def dump(endpoint: PostgresEndpoint) -> tuple[list[object], ...]:
    """Everything that landed, without the clock of the database and without the count of replays."""
    with psycopg.connect(endpoint.dsn(masked=False)) as connection:
        return tuple(
            connection.execute(query).fetchall()
            for query in (
                "SELECT window_start, window_end, category, count, flagged_count, amount_minor,"
                " flagged_amount_minor FROM fraud.fraud_metrics ORDER BY 1, 2, 3",
                "SELECT query_id, batch_id, epoch, offsets, intake, watermark, rows, digest"
                " FROM fraud.batch_ledger ORDER BY 1, 2",
                'SELECT partition, "offset", reason, payload FROM fraud.dead_letters ORDER BY 1, 2',
            )
        )


def test_the_same_batch_twice_changes_nothing(database: PostgresEndpoint, writer: WriterMaker) -> None:
    landing = writer()
    landing.acquire()
    first = landing.land(batch())
    before = dump(database)
    second = landing.land(batch())
    assert (first.replayed, second.replayed) == (False, True)
    assert dump(database) == before
    assert (len(before[0]), len(before[1]), len(before[2])) == (10, 1, 1)


def test_a_newer_batch_replaces_the_count(database: PostgresEndpoint, writer: WriterMaker) -> None:
    landing = writer()
    landing.acquire()
    landing.land(batch(0, count=3))
    landing.land(batch(1, count=5, letters=0))
    assert {row[3] for row in dump(database)[0]} == {5}  # type: ignore[index]


def test_a_batch_without_rows_still_gets_its_place_in_the_ledger(
    database: PostgresEndpoint, writer: WriterMaker
) -> None:
    landing = writer()
    landing.acquire()
    landing.land(MicroBatch(QUERY, 0, {0: (0, 0)}, {}, 0, (), ()))
    assert [len(part) for part in dump(database)] == [0, 1, 0]


def test_a_passed_epoch_cannot_write(database: PostgresEndpoint, writer: WriterMaker) -> None:
    old, new = writer(), writer()
    old.acquire()
    old.land(batch(0, count=3))
    assert lease.evict(database, lease.look(database, connect_seconds=5), by="test", connect_seconds=5)
    new.acquire()
    before = dump(database)
    with pytest.raises(FencedError):
        old.land(batch(1, count=99))
    assert dump(database) == before
    new.land(batch(1, count=4, letters=0))
    assert {row[3] for row in dump(database)[0]} == {4}  # type: ignore[index]


@pytest.mark.parametrize("difference", ["offsets", "rows"])
def test_the_same_id_with_another_content_is_refused(
    database: PostgresEndpoint, writer: WriterMaker, difference: str
) -> None:
    landing = writer()
    landing.acquire()
    landing.land(batch(0, count=3))
    before = dump(database)
    other = batch(0, count=4)
    if difference == "offsets":
        same = batch(0, count=3)
        other = MicroBatch(
            QUERY, 0, {0: (0, 11)}, same.intake, same.watermark_ms, same.windows, same.dead_letters
        )
    with pytest.raises(DataError, match="another content"):
        landing.land(other)
    assert dump(database) == before


def test_a_row_that_the_table_refuses_leaves_nothing_behind(
    database: PostgresEndpoint, writer: WriterMaker
) -> None:
    landing = writer()
    landing.acquire()
    landing.land(batch(0))
    before = dump(database)
    with pytest.raises(DataError, match="refuses the batch"):
        landing.land(batch(1, count=0))
    assert dump(database) == before


def test_hostile_text_is_stored_literally(database: PostgresEndpoint, writer: WriterMaker) -> None:
    landing = writer()
    landing.acquire()
    hostile = "'; DROP TABLE fraud.fraud_metrics; -- \\. \t$$"
    landing.land(batch(0, category=hostile))
    assert {row[2] for row in dump(database)[0]} == {hostile}  # type: ignore[index]


def test_a_lost_connection_is_survived(database: PostgresEndpoint, writer: WriterMaker) -> None:
    landing = writer()
    landing.acquire()
    landing.land(batch(0))
    with psycopg.connect(database.dsn(masked=False), autocommit=True) as connection:
        killed = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'fraudctl detector' AND datname = current_database()"
        ).fetchone()
    assert killed == (1,)
    assert landing.land(batch(1, letters=0)).replayed is False
    assert len(dump(database)[1]) == 2


def test_an_unreachable_database_is_given_up_after_the_time_set(
    database: PostgresEndpoint, writer: WriterMaker, tmp_path: Path
) -> None:
    nowhere = PostgresEndpoint("127.0.0.1", 1, database.database, database.user, database.password_file)
    with pytest.raises(UnreachableError) as caught:
        writer(nowhere, retry_seconds=0.5).acquire()
    assert "127.0.0.1:1" in caught.value.message
