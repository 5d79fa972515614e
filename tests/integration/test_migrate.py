"""Migrations against a real PostgreSQL: once each, whole or not at all, by however many at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from fraudctl import assets
from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.database.migrations import MigrationReport, migrate, status
from fraudctl.errors import DataError, NotReadyError, UnreachableError
from tests.support.databases import open_session, temporary_database

pytestmark = pytest.mark.services

ROUNDS = 25
RUNS = 4


@pytest.fixture
def database(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    with temporary_database(endpoints.postgres) as endpoint:
        yield endpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (id integer PRIMARY KEY);\n")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two AS SELECT 7 % 4 AS rest;\n")
    return tmp_path


def run(endpoint: PostgresEndpoint, folder: Path | None = None, *, wait: float = 30.0) -> MigrationReport:
    return migrate(endpoint, connect_seconds=5.0, lock_wait_seconds=wait, folder=folder)


def tables(endpoint: PostgresEndpoint) -> set[str]:
    with open_session(endpoint) as session:
        rows = session.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        return {row[0] for row in rows}


def test_applies_once_and_then_finds_nothing_to_do(database: PostgresEndpoint, folder: Path) -> None:
    before = status(database, connect_seconds=5.0, folder=folder)
    assert [migration.name for migration in before.pending] == ["0001_one.sql", "0002_two.sql"]
    first = run(database, folder)
    assert [migration.name for migration in first.applied] == ["0001_one.sql", "0002_two.sql"]
    assert all(migration.applied_at is not None for migration in first.applied)
    second = run(database, folder)
    assert (second.applied, second.pending) == ((), ())
    assert second.already == first.applied
    assert tables(database) == {"public.one", "public.two", "fraudctl_meta.schema_migrations"}


def test_looking_changes_nothing(database: PostgresEndpoint, folder: Path) -> None:
    report = migrate(database, connect_seconds=5.0, lock_wait_seconds=5.0, folder=folder, dry_run=True)
    assert len(report.pending) == 2
    status(database, connect_seconds=5.0, folder=folder)
    assert tables(database) == set()


def test_a_later_file_is_applied_on_top(database: PostgresEndpoint, folder: Path) -> None:
    run(database, folder)
    (folder / "0003_three.sql").write_text("ALTER TABLE two ADD COLUMN more text;\n")
    report = run(database, folder)
    assert [migration.name for migration in report.applied] == ["0003_three.sql"]
    assert [migration.name for migration in report.already] == ["0001_one.sql", "0002_two.sql"]


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_parallel_first_runs_apply_each_migration_exactly_once(
    database: PostgresEndpoint, _round: int
) -> None:
    together = Barrier(RUNS)

    def one_run(_number: int) -> MigrationReport:
        together.wait()
        return run(database)

    with ThreadPoolExecutor(RUNS) as pool:
        reports = list(pool.map(one_run, range(RUNS)))
    names = sorted(file.name for file in (assets.sql() / "migrations").glob("*.sql"))
    assert sorted(migration.name for report in reports for migration in report.applied) == names
    for report in reports:
        everything = [migration.name for migration in report.already + report.applied]
        assert sorted(everything) == names
    assert status(database, connect_seconds=5.0).pending == ()


def test_a_broken_migration_names_the_place_and_leaves_nothing_behind(
    database: PostgresEndpoint, folder: Path
) -> None:
    (folder / "0003_three.sql").write_text(
        "-- größer\nCREATE TABLE three (id integer);\nSELECT 'ä',\tnope FROM two;\n"
    )
    with pytest.raises(DataError) as caught:
        run(database, folder)
    assert caught.value.message == "0003_three.sql, line 3: PostgreSQL refuses it"
    assert caught.value.detail.splitlines() == [
        'column "nope" does not exist (SQLSTATE 42703)',
        "SELECT 'ä',\tnope FROM two;",
        "           \t^",
    ]
    assert "public.three" not in tables(database)
    report = status(database, connect_seconds=5.0, folder=folder)
    assert [migration.name for migration in report.already] == ["0001_one.sql", "0002_two.sql"]
    assert [migration.name for migration in report.pending] == ["0003_three.sql"]


def test_an_error_without_a_position_still_tells_what_the_server_says(
    database: PostgresEndpoint, folder: Path
) -> None:
    (folder / "0003_three.sql").write_text("INSERT INTO one VALUES (1), (1);\n")
    with pytest.raises(DataError) as caught:
        run(database, folder)
    assert caught.value.message == "0003_three.sql: PostgreSQL refuses it"
    assert "SQLSTATE 23505" in caught.value.detail
    assert "detail: Key (id)=(1) already exists." in caught.value.detail


def test_a_changed_file_is_refused_with_both_hashes(database: PostgresEndpoint, folder: Path) -> None:
    applied = run(database, folder).applied[1]
    (folder / "0002_two.sql").write_bytes(b"CREATE TABLE two AS SELECT 7 % 4 AS rest;\r\n")
    for look in (lambda: run(database, folder), lambda: status(database, connect_seconds=5.0, folder=folder)):
        with pytest.raises(DataError, match=r"0002_two.sql has changed since it was applied") as caught:
            look()
        assert applied.sha256 in caught.value.detail
        assert len({line.split()[-2] for line in caught.value.detail.splitlines()}) == 2


def test_a_renamed_file_is_refused(database: PostgresEndpoint, folder: Path) -> None:
    run(database, folder)
    (folder / "0002_two.sql").rename(folder / "0002_second.sql")
    with pytest.raises(DataError, match=r"0002_second.sql has changed since it was applied"):
        run(database, folder)


def test_a_newer_database_is_refused(database: PostgresEndpoint, folder: Path) -> None:
    run(database, folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(DataError, match=r"newer than this fraudctl: it has 0002_two.sql"):
        run(database, folder)


def test_a_gap_in_the_record_is_refused(database: PostgresEndpoint, folder: Path) -> None:
    run(database, folder)
    with open_session(database) as session:
        session.execute("DELETE FROM fraudctl_meta.schema_migrations WHERE version = 1")
    with pytest.raises(DataError, match="gap: number 1 is missing"):
        run(database, folder)


def test_a_run_that_never_ends_is_not_waited_for_for_ever(database: PostgresEndpoint, folder: Path) -> None:
    with open_session(database) as session, session.transaction():
        # Any other session that holds the lock; the number is the one that pg_locks shows during a run.
        session.execute("SELECT pg_advisory_xact_lock(%s)", (int.from_bytes(b"fraudctl") >> 1,))
        with pytest.raises(NotReadyError, match=r"another run of the migrations has not ended within 0.3 s"):
            run(database, folder, wait=0.3)
    assert len(run(database, folder).applied) == 2


def test_a_table_in_use_is_waited_for_and_then_named(database: PostgresEndpoint, folder: Path) -> None:
    run(database, folder)
    (folder / "0003_three.sql").write_text("ALTER TABLE two ADD COLUMN more text;\n")
    with open_session(database) as session, session.transaction():
        session.execute("SELECT * FROM two")
        with pytest.raises(NotReadyError, match=r"0003_three.sql waited 0.3 s for a table"):
            run(database, folder, wait=0.3)
    assert [migration.name for migration in run(database, folder).applied] == ["0003_three.sql"]


def test_a_connection_that_is_cut_is_named(database: PostgresEndpoint, folder: Path) -> None:
    (folder / "0003_three.sql").write_text("SELECT pg_terminate_backend(pg_backend_pid());\n")
    with pytest.raises(UnreachableError, match=r"lost during 0003_three.sql"):
        run(database, folder)
    report = status(database, connect_seconds=5.0, folder=folder)
    assert [migration.name for migration in report.pending] == ["0003_three.sql"]


def test_no_server_is_named(folder: Path, database: PostgresEndpoint) -> None:
    with pytest.raises(UnreachableError, match=r"PostgreSQL does not answer at 127\.0\.0\.1:1"):
        run(replace(database, port=1), folder)
