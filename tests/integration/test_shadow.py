"""The shadow against a real PostgreSQL: made like the live tables, put in their place in one step or not."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.database import lease
from fraudctl.database.connection import connect
from fraudctl.database.lease import Holder
from fraudctl.database.migrations import migrate
from fraudctl.database.shadow import SCHEMA, Shadow
from fraudctl.errors import RefusedError
from tests.support.databases import open_session, temporary_database

pytestmark = pytest.mark.services

MINUTE_US = 60_000_000
BEGIN_US = 29_566_080 * MINUTE_US  # 2026-03-20 00:00 UTC
AGREE, DIFFER, EXTRA, MISSING, OUTSIDE = range(0, 50, 10)
WHO = Holder("a rebuild", "")
RULES = "f" * 64
COLUMNS = "extract(epoch FROM window_start)::bigint / 60 - 29566080, count"


@pytest.fixture
def database(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        yield endpoint


@pytest.fixture
def session(database: PostgresEndpoint) -> Iterator["psycopg.Connection[Any]"]:
    with open_session(database) as opened:
        yield opened


def put(session: "psycopg.Connection[Any]", schema: str, minute: int, count: int) -> None:
    session.execute(
        f"INSERT INTO {schema}.fraud_metrics"
        " VALUES (to_timestamp(%s), to_timestamp(%s), 'Food', %s, 0, 5, 0)",
        ((BEGIN_US + minute * MINUTE_US) / 1e6, (BEGIN_US + (minute + 10) * MINUTE_US) / 1e6, count),
    )


def counts(session: "psycopg.Connection[Any]") -> dict[int, int]:
    return dict(session.execute(f"SELECT {COLUMNS} FROM fraud.fraud_metrics").fetchall())


def filled(database: PostgresEndpoint, session: "psycopg.Connection[Any]") -> Shadow:
    shadow = Shadow(database, connect_seconds=5)
    shadow.create()
    for minute, live, replayed in (
        (AGREE, 3, 3),
        (DIFFER, 4, 5),
        (EXTRA, 6, 0),
        (MISSING, 0, 7),
        (OUTSIDE, 8, 9),
    ):
        if live:
            put(session, "fraud", minute, live)
        if replayed:
            put(session, SCHEMA, minute, replayed)
    return shadow


def swap(shadow: Shadow, beyond: int | None = None) -> int:
    return shadow.swap_windows(BEGIN_US, BEGIN_US + OUTSIDE * MINUTE_US, unless_grown_beyond=beyond)


def test_a_swap_changes_what_differs_inside_the_range_and_nothing_else(
    database: PostgresEndpoint, session: "psycopg.Connection[Any]"
) -> None:
    shadow = filled(database, session)
    before = session.execute("SELECT updated_at FROM fraud.fraud_metrics WHERE count = 3").fetchone()
    assert swap(shadow) == 3
    assert counts(session) == {AGREE: 3, DIFFER: 5, MISSING: 7, OUTSIDE: 8}
    assert session.execute("SELECT updated_at FROM fraud.fraud_metrics WHERE count = 3").fetchone() == before
    assert swap(shadow) == 0
    shadow.drop()
    assert session.execute("SELECT to_regnamespace(%s)", (SCHEMA,)).fetchone() == (None,)


def test_a_swap_is_refused_when_the_ledger_has_grown(
    database: PostgresEndpoint, session: "psycopg.Connection[Any]"
) -> None:
    shadow = filled(database, session)
    with pytest.raises(RefusedError, match="landed more meanwhile"):
        swap(shadow, beyond=1)
    assert counts(session)[DIFFER] == 4
    assert swap(shadow, beyond=0) == 3


def test_a_reader_sees_the_rows_from_before_or_those_from_after(
    database: PostgresEndpoint, session: "psycopg.Connection[Any]"
) -> None:
    """The swap is held up half-way, after its deletions, by a lock on a row that it must change."""
    shadow = filled(database, session)
    old = counts(session)
    with open_session(database) as other:
        other.autocommit = False
        other.execute("UPDATE fraud.fraud_metrics SET count = count WHERE count = 4")
        swapping = threading.Thread(target=swap, args=(shadow,))
        swapping.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        while session.execute(waiting, (database.database,)).fetchone() == (0,):
            assert swapping.is_alive()
        assert counts(session) == old
        other.rollback()
    swapping.join()
    assert counts(session) == {AGREE: 3, DIFFER: 5, MISSING: 7, OUTSIDE: 8}


def test_a_rebuild_replaces_everything_as_a_new_epoch(
    database: PostgresEndpoint, session: "psycopg.Connection[Any]"
) -> None:
    shadow = filled(database, session)
    for schema, batch, offset in (("fraud", 0, 1), (SCHEMA, 0, 1), (SCHEMA, 1, 2)):
        session.execute(
            f"INSERT INTO {schema}.batch_ledger"
            " VALUES (%s, %s, 1, 'c', 't', 'i', '{}', '{}', now(), 0, '', '')",
            ("0" * 31 + ("1" if schema == "fraud" else "2"), batch),
        )
        session.execute(
            f'INSERT INTO {schema}.dead_letters (topic, partition, "offset", reason, arrival, payload,'
            " payload_bytes) VALUES ('t', 0, %s, 'late', now(), 'x', 1)",
            (offset,),
        )
    session.execute("UPDATE fraud.dead_letters SET payload = '', purged_at = now()")
    for schema, digest, published in (
        ("fraud", "gone", None),
        ("fraud", "both", "2026-03-10 12:00Z"),
        (SCHEMA, "both", None),
        (SCHEMA, "new", None),
    ):
        session.execute(
            f"INSERT INTO {schema}.fraud_alerts VALUES (%s, 't', 'c', 'm', now(), 'Food', 1, 'EUR', 'DE',"
            " 'pos', now(), 'r', 50, '{a}', repeat('0', 32)::uuid, 0, now(), %s)",
            (digest, published),
        )
    for schema, partition, digest, score in (
        ("fraud", 0, "gone", 1),
        ("fraud", 0, "both", 2),
        (SCHEMA, 0, "both", 3),
        (SCHEMA, 1, "both", 4),
    ):
        session.execute(
            f"INSERT INTO {schema}.fraud_flags VALUES (%s, %s, 't', 'c', 'm', now(), 'Food', 1, 'EUR', 'DE',"
            " 'pos', now(), 'r', %s, '{a}', true, repeat('0', 32)::uuid, 0)",
            (partition, digest, score),
        )
    session.execute(f"INSERT INTO {SCHEMA}.rule_sets VALUES (%s, '{{}}')", (RULES,))
    epoch = shadow.replace_live(WHO, RULES)
    assert counts(session) == {AGREE: 3, DIFFER: 5, MISSING: 7, OUTSIDE: 9}
    ledger = session.execute("SELECT right(query_id::text, 1), batch_id, epoch FROM fraud.batch_ledger")
    assert sorted(ledger.fetchall()) == [("2", 0, epoch), ("2", 1, epoch)]
    letters = session.execute('SELECT "offset", payload, purged_at IS NULL FROM fraud.dead_letters')
    assert sorted(letters.fetchall()) == [(1, b"", False), (2, b"x", True)]
    alerts = session.execute("SELECT digest, published_at IS NOT NULL FROM fraud.fraud_alerts")
    assert sorted(alerts.fetchall()) == [("both", True), ("new", False)], "what was sent is not sent again"
    flags = session.execute("SELECT partition, digest, score FROM fraud.fraud_flags")
    assert sorted(flags.fetchall()) == [(0, "both", 3), (1, "both", 4)]
    assert session.execute("SELECT rule_set FROM fraud.active_rules").fetchall() == [(RULES,)]
    assert session.execute("SELECT digest FROM fraud.rule_sets").fetchall() == [(RULES,)]
    seen = lease.look(database, connect_seconds=5)
    assert (seen.epoch, seen.holder, seen.free) == (epoch, WHO.name, True)


def test_a_rebuild_does_not_take_the_lease_from_a_detector(
    database: PostgresEndpoint, session: "psycopg.Connection[Any]"
) -> None:
    shadow = filled(database, session)
    old = counts(session)
    with connect(database, application="test", timeout_seconds=5, autocommit=True) as connection:
        lease.acquire(connection, Holder("a detector", ""), 60)
    with pytest.raises(RefusedError, match="another detector writes"):
        shadow.replace_live(WHO, RULES)
    assert counts(session) == old


def test_the_shadow_follows_the_live_tables(
    database: PostgresEndpoint, session: "psycopg.Connection[Any]"
) -> None:
    session.execute("ALTER TABLE fraud.fraud_metrics ADD COLUMN later integer NOT NULL DEFAULT 7")
    shadow = filled(database, session)
    shadow.create()  # twice is once, and empty
    listed = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)"
        " WHERE table_schema = %s AND table_type = 'BASE TABLE' ORDER BY table_name, ordinal_position"
    )
    live = session.execute(listed, ("fraud",)).fetchall()
    assert ("fraud_metrics", "later", "integer", "NO", "7") in live
    assert session.execute(listed, (SCHEMA,)).fetchall() == live
    assert session.execute(f"SELECT count(*) FROM {SCHEMA}.fraud_metrics").fetchone() == (0,)
