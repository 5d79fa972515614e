"""Least privilege: each role tries what it must not do, and is refused by the database itself."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL

from fraudctl import assets
from fraudctl.config.endpoints import MIGRATOR, READER, WRITER, PostgresEndpoint
from fraudctl.config.load import load
from fraudctl.database.alerts import Outbox
from fraudctl.database.creation import ensure_database
from fraudctl.database.flags import Flag
from fraudctl.database.landing import Alert, DeadLetter, Landing, MicroBatch, Source, WindowRow
from fraudctl.database.lease import Holder
from fraudctl.database.migrations import migrate
from fraudctl.database.roles import close_to_others, set_passwords
from fraudctl.database.shadow import Shadow, endpoint_of
from fraudctl.database.snapshot import read_snapshot
from fraudctl.errors import DataError, RefusedError
from tests.support.bars import Bar
from tests.support.databases import open_session, temporary_database
from tests.support.own_server import own_server

pytestmark = pytest.mark.services

PASSWORDS = {MIGRATOR: "of-the-migrator", WRITER: "of-the-writer", READER: "of-the-reader"}
TABLES = (
    "fraud_metrics",
    "fraud_staging_metrics",
    "pipeline_lease",
    "batch_ledger",
    "dead_letters",
    "dead_letter_requeues",
    "rule_sets",
    "active_rules",
    "fraud_alerts",
    "fraud_flags",
    "evaluations",
)
DDL = (
    "CREATE TABLE fraud.mine (id integer)",
    "CREATE SCHEMA mine",
    "CREATE VIEW fraud.mine AS SELECT 1",
    "CREATE FUNCTION fraud.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE INDEX ON fraud.fraud_metrics (category)",
    "ALTER TABLE fraud.fraud_metrics ADD COLUMN mine integer",
    "ALTER TABLE fraud.fraud_metrics DISABLE TRIGGER ALL",
    "DROP TABLE fraud.fraud_metrics",
    "DROP SCHEMA fraud CASCADE",
    "CREATE TEMPORARY TABLE mine (id integer)",
    "ALTER ROLE fraud_owner LOGIN",
    "SET ROLE fraud_owner",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT * FROM pg_authid",
    "SELECT * FROM fraudctl_meta.schema_migrations",
)
WRITER_FORBIDDEN = (
    *DDL,
    *(f"TRUNCATE fraud.{table}" for table in TABLES),
    *(f"DELETE FROM fraud.{table}" for table in TABLES if table != "fraud_staging_metrics"),
    "UPDATE fraud.fraud_metrics SET category = 'Food'",
    "UPDATE fraud.fraud_metrics SET window_start = now()",
    "UPDATE fraud.batch_ledger SET offsets = '{}'",
    "UPDATE fraud.batch_ledger SET fingerprint = ''",
    "INSERT INTO fraud.pipeline_lease (pipeline, epoch, holder) VALUES ('mine', 0, '')",
    "UPDATE fraud.dead_letters SET reason = 'late'",
    "SELECT payload FROM fraud.dead_letters",
    "UPDATE fraud.rule_sets SET document = '{}'",
    "UPDATE fraud.active_rules SET rule_set = 'mine'",
    "UPDATE fraud.fraud_alerts SET score = 0",
    "UPDATE fraud.fraud_alerts SET rule_set = 'mine'",
    "UPDATE fraud.fraud_flags SET digest = ''",
    "UPDATE fraud.fraud_flags SET amount_minor = 0",
    "SELECT * FROM fraud.dead_letter_requeues",
    'INSERT INTO fraud.dead_letter_requeues (topic, partition, "offset", attempt, log_end)'
    " VALUES ('t', 0, 0, 1, 0)",
)
READER_FORBIDDEN = (
    *DDL,
    *(f"SELECT * FROM fraud.{table}" for table in TABLES),
    *(f"TRUNCATE fraud.{table}" for table in TABLES),
    *(f"DELETE FROM fraud.{table}" for table in TABLES),
    "INSERT INTO fraud.fraud_metrics VALUES (now(), now(), 'Food', 1, 0, 0, 0)",
    "UPDATE fraud.fraud_metrics SET count = 1",
    "UPDATE fraud.pipeline_lease SET epoch = 7",
    "SELECT * FROM fraud.window_totals",
    "SELECT * FROM elsewhere.secret",
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresEndpoint]:
    with own_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def database(server: PostgresEndpoint) -> PostgresEndpoint:
    """A migrated database with a foreign schema in it; every role has its password."""
    endpoint = replace(server, database="fraudctl")
    assert ensure_database(endpoint, timeout_seconds=5)
    migrate(endpoint, connect_seconds=5, lock_wait_seconds=20)
    close_to_others(endpoint, connect_seconds=5)
    set_passwords(endpoint, PASSWORDS, connect_seconds=5)
    with open_session(endpoint) as session:
        session.execute("CREATE SCHEMA elsewhere")
        session.execute("CREATE TABLE elsewhere.secret (id integer)")
    return endpoint


def as_role(endpoint: PostgresEndpoint, role: str, folder: Path) -> PostgresEndpoint:
    """The same database, seen by that role."""
    file = folder / role
    file.write_text(PASSWORDS[role])
    return replace(endpoint, user=role, password_file=file)


def refusals(endpoint: PostgresEndpoint, role: str, statements: tuple[str, ...]) -> dict[str, str | None]:
    """SQLSTATE of each statement in a writable transaction that is rolled back; None: it was allowed."""
    found: dict[str, str | None] = {}
    dsn = replace(endpoint, user=role).dsn().replace("@", f":{PASSWORDS[role]}@", 1)
    with psycopg.connect(dsn, options="-c default_transaction_read_only=off") as session:
        for statement in statements:
            try:
                session.execute(statement.encode())
                found[statement] = None
            except psycopg.Error as error:
                found[statement] = error.sqlstate
            session.rollback()
    return found


@pytest.mark.bar(23, "least privilege", target="every attempt refused with 42501")
@pytest.mark.parametrize(
    ("role", "statements"),
    [(WRITER, WRITER_FORBIDDEN), (READER, READER_FORBIDDEN)],
    ids=[WRITER, READER],
)
def test_what_a_role_must_not_do_is_refused(
    database: PostgresEndpoint, role: str, statements: tuple[str, ...], bar: Bar
) -> None:
    """Even with the session made writable: what holds is the grants, not a default that one may change."""
    found = refusals(database, role, statements)
    allowed = {statement: state for statement, state in found.items() if state != "42501"}
    assert not allowed
    bar(f"{role}: {len(found)} of {len(statements)} attempts refused")


def test_the_reader_is_read_only_slow_queries_end_and_connections_are_few(database: PostgresEndpoint) -> None:
    dsn = replace(database, user=READER).dsn().replace("@", f":{PASSWORDS[READER]}@", 1)
    with ExitStack() as opened:
        sessions = [opened.enter_context(psycopg.connect(dsn, autocommit=True)) for _ in range(5)]
        shown = [
            sessions[0].execute(f"SHOW {name}".encode()).fetchone()
            for name in ("default_transaction_read_only", "statement_timeout", "timezone")
        ]
        assert shown == [("on",), ("10s",), ("UTC",)]
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            psycopg.connect(dsn).close()


def test_nobody_else_may_enter(database: PostgresEndpoint) -> None:
    with open_session(database) as session:
        session.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
        dsn = replace(database, user="stranger").dsn().replace("@", ":stranger@", 1)
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(dsn).close()
        session.execute("DROP ROLE stranger")


def batch(number: int) -> MicroBatch:
    row = WindowRow(0, 600_000_000, "Food", number + 1, 0, 100, 0)
    letter = DeadLetter(0, number * 2, "malformed", 5_000_000, b"{", 1)
    offsets = {0: (number * 2, number * 2 + 2)}
    intake = {0: {"admitted": 1, "malformed": 1}}
    plain = ("t", "c", "m", 0, "Food", 100, "EUR", "DE", "pos", 5_000_000, 50, "a,b")
    alert = Alert(f"digest-{number}", *plain)
    # Twice the same: the second batch replaces the row of the first.
    flag = Flag(0, "digest-0", *plain, alone=False)
    return MicroBatch(
        "11111111-2222-4333-8444-555555555555",
        number,
        offsets,
        intake,
        0,
        (row,),
        (letter,),
        alerts=(alert,),
        rule_set="rules",
        flags=(flag,),
    )


def landing(endpoint: PostgresEndpoint) -> Landing:
    return Landing(
        endpoint,
        Source("cluster", "transactions", "topic-id", "fingerprint"),
        load().settings.landing,
        holder=Holder("test", ""),
        connect_seconds=2,
        stopping=lambda: True,
        on_retry=lambda _line: None,
    )


def test_the_writer_lands_into_the_live_tables_and_into_a_shadow(
    database: PostgresEndpoint, tmp_path: Path
) -> None:
    """The shadow is the migrator's work, and its grants are those of the live tables."""
    migrator, writer = as_role(database, MIGRATOR, tmp_path), as_role(database, WRITER, tmp_path)
    Shadow(migrator, connect_seconds=5).create()
    for place in (writer, endpoint_of(writer)):
        detector = landing(place)
        epoch = detector.acquire()
        assert detector.begin_rules("rules", {"rules": []}).digest == "rules"
        assert [detector.land(batch(number)).replayed for number in (0, 1, 1)] == [False, False, True]
        outbox = Outbox(place, epoch, connect_seconds=2)
        waiting = outbox.unpublished(10)
        assert [(alert.digest, alert.rules) for alert in waiting] == [
            ("digest-0", ("a", "b")),
            ("digest-1", ("a", "b")),
        ]
        outbox.published([alert.digest for alert in waiting])
        assert outbox.unpublished(10) == []
        outbox.close()
        detector.release()
        detector.close()
    shadow = read_snapshot(endpoint_of(migrator), connect_seconds=5)
    live = read_snapshot(migrator, connect_seconds=5)
    assert shadow.metrics == live.metrics
    assert shadow.alerts == live.alerts
    assert shadow.flags == live.flags
    assert [(key, one.batch_id) for key, one in live.flags.items()] == [((0, "digest-0"), 1)]
    assert len(live.alerts) == 2
    assert [totals.count for totals in live.metrics.values()] == [2]
    in_shadow = tuple(
        statement.replace("fraud.", "fraud_shadow.").replace("SCHEMA fraud ", "SCHEMA fraud_shadow ")
        for statement in WRITER_FORBIDDEN
    )
    assert set(refusals(database, WRITER, in_shadow).values()) == {"42501"}
    assert Shadow(migrator, connect_seconds=5).replace_live(Holder("test", ""), "r") > 0
    Shadow(migrator, connect_seconds=5).drop()


def test_the_writer_cannot_replay(database: PostgresEndpoint, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="may not do what a replay needs"):
        Shadow(as_role(database, WRITER, tmp_path), connect_seconds=5).create()


def test_the_migrator_migrates(database: PostgresEndpoint, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for file in (assets.sql() / "migrations").glob("*.sql"):
        (folder / file.name).write_bytes(file.read_bytes())
    last = len(list(folder.iterdir()))
    (folder / f"{last + 1:04}_more.sql").write_text("ALTER TABLE fraud.fraud_metrics ADD COLUMN more text;\n")
    report = migrate(
        as_role(database, MIGRATOR, tmp_path), connect_seconds=5, lock_wait_seconds=20, folder=folder
    )
    assert [migration.version for migration in report.applied] == [last + 1]
    with open_session(database) as session:
        session.execute("ALTER TABLE fraud.fraud_metrics DROP COLUMN more")
        session.execute("DELETE FROM fraudctl_meta.schema_migrations WHERE version = %s", (last + 1,))


def test_passwords_are_set_where_they_differ_and_never_reach_the_log(server: PostgresEndpoint) -> None:
    with temporary_database(server) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=20)
        with open_session(endpoint) as session:
            session.execute("ALTER SYSTEM SET log_statement = 'all'")
            session.execute("SELECT pg_reload_conf()")
            before = dict(PASSWORDS)
            set_passwords(endpoint, before, connect_seconds=5)
            assert set_passwords(endpoint, before, connect_seconds=5) == ()
            after = {**before, READER: "another-one-now"}
            assert set_passwords(endpoint, after, connect_seconds=5) == (READER,)
            dsn = replace(endpoint, user=READER).dsn().replace("@", ":another-one-now@", 1)
            psycopg.connect(dsn).close()
            set_passwords(endpoint, before, connect_seconds=5)
            session.execute("ALTER SYSTEM RESET log_statement")
            session.execute("SELECT pg_reload_conf()")
    log = (server.password_file.parents[1] / "logs" / "postgres.log").read_text(encoding="utf-8")
    assert "ALTER ROLE" in log  # statements were logged indeed
    assert [password for password in (*before.values(), "another-one-now") if password in log] == []


def make_user(server: PostgresEndpoint, tmp_path: Path, attributes: str) -> PostgresEndpoint:
    """A login of its own that owns a database of its own."""
    with open_session(server) as session:
        session.execute(SQL("CREATE ROLE limited LOGIN {} PASSWORD 'limited'").format(SQL(attributes)))  # type: ignore[arg-type]
        session.execute("CREATE DATABASE limited OWNER limited")
    file = tmp_path / "limited"
    file.write_text("limited")
    return replace(server, database="limited", user="limited", password_file=file)


@pytest.fixture
def bare_server() -> Iterator[PostgresEndpoint]:
    """Nobody has migrated anything here yet."""
    with own_server() as endpoint:
        yield endpoint


def test_who_may_not_create_roles_is_told_what_a_superuser_must_run(
    bare_server: PostgresEndpoint, tmp_path: Path
) -> None:
    limited = make_user(bare_server, tmp_path, "NOCREATEROLE")
    with pytest.raises(DataError, match=r"0004_roles.sql: PostgreSQL refuses it") as caught:
        migrate(limited, connect_seconds=5, lock_wait_seconds=20)
    assert (
        "user limited may not do this: CREATE ROLE fraud_owner NOLOGIN (SQLSTATE 42501)"
        in caught.value.detail
    )
    advice = caught.value.detail.partition("then migrate again: ")[2].splitlines()[0]
    with open_session(bare_server) as session:
        session.execute(advice.encode())
    report = migrate(limited, connect_seconds=5, lock_wait_seconds=20)
    assert report.applied[0].name == "0004_roles.sql"
    assert owners(bare_server, "limited") == {"fraud_owner"}


def test_who_may_create_roles_needs_nobody(bare_server: PostgresEndpoint, tmp_path: Path) -> None:
    limited = make_user(bare_server, tmp_path, "CREATEROLE")
    assert len(migrate(limited, connect_seconds=5, lock_wait_seconds=20).applied) >= 4
    assert owners(bare_server, "limited") == {"fraud_owner"}


def test_databases_of_one_server_are_migrated_at_the_same_time(bare_server: PostgresEndpoint) -> None:
    """The migrations' lock is one database's, the roles are the whole server's."""
    with ExitStack() as opened:
        databases = [opened.enter_context(temporary_database(bare_server)) for _ in range(6)]
        together = Barrier(len(databases))

        def one_run(endpoint: PostgresEndpoint) -> int:
            together.wait()
            return len(migrate(endpoint, connect_seconds=5, lock_wait_seconds=60).applied)

        with ThreadPoolExecutor(len(databases)) as pool:
            applied = list(pool.map(one_run, databases))
        assert len(set(applied)) == 1
        for endpoint in databases:
            assert owners(endpoint, endpoint.database) == {"fraud_owner"}


def owners(server: PostgresEndpoint, database: str) -> set[Any]:
    """Of everything in the pipeline's two schemas."""
    with open_session(replace(server, database=database)) as session:
        rows = session.execute(
            "SELECT pg_get_userbyid(relowner) FROM pg_class"
            " WHERE relnamespace IN ('fraud'::regnamespace, 'fraudctl_meta'::regnamespace)"
            " UNION SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname ~ '^fraud'"
        ).fetchall()
    return {row[0] for row in rows}
