"""Landing against a real PostgreSQL: once, whole, and only by whoever holds the lease."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.load import load
from fraudctl.database import lease
from fraudctl.database.flags import Flag
from fraudctl.database.landing import Alert, DeadLetter, Landing, MicroBatch, Source, WindowRow
from fraudctl.database.lease import Holder
from fraudctl.database.migrations import migrate
from fraudctl.errors import DataError, FencedError, UnreachableError
from tests.support.databases import temporary_database

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


def rows(endpoint: PostgresEndpoint, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(endpoint.dsn(masked=False)) as connection:
        return connection.execute(query.encode()).fetchall()


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


def flag(partition: int, digest: str, **changed: object) -> Flag:
    plain: dict[str, object] = {
        "transaction_id": f"t-{digest}",
        "card_id": "c",
        "merchant_id": "m",
        "event_time_us": 1_000_001,
        "category": "Food",
        "amount_minor": 100,
        "currency": "EUR",
        "country": "DE",
        "channel": "pos",
        "arrival_us": 5_000_000,
        "score": 50,
        "rules": "a,b",
        "alone": True,
    }
    return Flag(partition=partition, digest=digest, **plain | changed)  # type: ignore[arg-type]


FLAGS = (
    "SELECT partition, digest, extract(epoch FROM event_time) * 1000000,"
    " extract(epoch FROM arrival) * 1000000, rule_set, score, rules, alone, batch_id, landed_at"
    " FROM fraud.fraud_flags ORDER BY 1, 2"
)


def test_a_flag_is_replaced_by_what_a_newer_batch_says_and_never_removed(
    database: PostgresEndpoint, writer: WriterMaker
) -> None:
    landing = writer()
    landing.acquire()
    first = replace(batch(0), rule_set="old", flags=(flag(0, "x"), flag(1, "x", rules="b"), flag(0, "y")))
    assert landing.land(first).flags == 3
    before = rows(database, FLAGS)
    assert [row[:9] for row in before] == [
        (0, "x", 1_000_001, 5_000_000, "old", 50, ["a", "b"], True, 0),
        (0, "y", 1_000_001, 5_000_000, "old", 50, ["a", "b"], True, 0),
        (1, "x", 1_000_001, 5_000_000, "old", 50, ["b"], True, 0),
    ]
    assert landing.land(first).replayed
    assert rows(database, FLAGS) == before
    changed = flag(0, "x", rules="a,b,c", score=70, alone=False, arrival_us=4_000_000)
    landing.land(replace(batch(1), rule_set="new", flags=(changed,)))
    after = rows(database, FLAGS)
    assert after[0][:9] == (0, "x", 1_000_001, 4_000_000, "new", 70, ["a", "b", "c"], False, 1)
    assert after[0][9] > before[0][9]
    assert after[1:] == before[1:]


def test_flags_are_written_with_their_batch_or_not_at_all(
    database: PostgresEndpoint, writer: WriterMaker
) -> None:
    """A flag that the table refuses takes the windows with it, and the other way round."""
    landing = writer()
    landing.acquire()
    for wrong in (
        replace(batch(0), rule_set="r", flags=(flag(0, "x"), flag(0, "y", score=101))),
        replace(batch(0, count=0), rule_set="r", flags=(flag(0, "x"),)),
    ):
        with pytest.raises(DataError, match="refuses the batch"):
            landing.land(wrong)
        assert (rows(database, FLAGS), dump(database)) == ([], ([], [], []))


def test_more_flags_than_one_statement_takes(database: PostgresEndpoint, writer: WriterMaker) -> None:
    landing = writer()
    landing.acquire()
    many = tuple(flag(0, f"{number:05}", amount_minor=number) for number in range(20_001))
    landing.land(replace(batch(0), rule_set="r", flags=many))
    found = rows(database, "SELECT digest, amount_minor FROM fraud.fraud_flags ORDER BY 1")
    assert found == [(one.digest, one.amount_minor) for one in many]


def test_an_alert_by_the_cards_past_is_not_raised_again(
    database: PostgresEndpoint, writer: WriterMaker
) -> None:
    """A flag is judged again and again; the alert that it raised first stays as it was."""
    landing = writer()
    landing.acquire()
    alert = Alert("x", "t", "c", "m", 0, "Food", 100, "EUR", "DE", "pos", 5_000_000, 50, "a")
    one = replace(batch(0), rule_set="r", flags=(flag(0, "x"),), alerts=(alert,))
    two = replace(
        batch(1), rule_set="s", flags=(flag(0, "x"),), alerts=(replace(alert, score=90, rules="a,b"),)
    )
    assert [landing.land(each).alerts for each in (one, two)] == [1, 0]
    assert rows(database, "SELECT score, rules, rule_set, batch_id FROM fraud.fraud_alerts") == [
        (50, ["a"], "r", 0)
    ]


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
