"""`fraudctl migrate` as a user meets it: words and exit codes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from fraudctl import assets
from fraudctl.config.endpoints import WRITER, Endpoints
from tests.support.commands import fraudctl
from tests.support.databases import open_session, temporary_database
from tests.support.own_server import own_server

pytestmark = pytest.mark.services
NAMES = sorted(file.name for file in (assets.sql() / "migrations").glob("*.sql"))


@pytest.fixture
def empty(endpoints: Endpoints) -> Iterator[Endpoints]:
    with temporary_database(endpoints.postgres) as database:
        yield replace(endpoints, postgres=database)


def test_from_nothing_to_up_to_date(empty: Endpoints, tmp_path: Path) -> None:
    check = fraudctl(empty, tmp_path, "migrate", "--check")
    assert (check.returncode, check.stdout.splitlines()) == (1, [f"pending {name}" for name in NAMES])
    dry = fraudctl(empty, tmp_path, "migrate", "--dry-run")
    assert (dry.returncode, dry.stdout.splitlines()) == (0, [f"would apply {name}" for name in NAMES])
    listed = fraudctl(empty, tmp_path, "migrate", "--status")
    assert (listed.returncode, listed.stdout.splitlines()) == (0, [f"{name}  pending" for name in NAMES])
    done = fraudctl(empty, tmp_path, "migrate", "--json")
    assert done.returncode == 0
    assert [migration["name"] for migration in json.loads(done.stdout)["applied"]] == NAMES
    again = fraudctl(empty, tmp_path, "migrate")
    assert (again.returncode, again.stdout) == (0, f"up to date: {NAMES[-1]}\n")
    assert fraudctl(empty, tmp_path, "migrate", "--check").returncode == 0


def test_drift_is_refused_by_every_mode(empty: Endpoints, tmp_path: Path) -> None:
    assert fraudctl(empty, tmp_path, "migrate").returncode == 0
    with open_session(empty.postgres) as session:
        session.execute("UPDATE fraudctl_meta.schema_migrations SET sha256 = 'other' WHERE version = 1")
    for mode in ([], ["--check"], ["--status"], ["--dry-run"]):
        refused = fraudctl(empty, tmp_path, "migrate", *mode)
        assert refused.returncode == 6
        assert refused.stderr.startswith("error: 0001_schema.sql has changed since it was applied\n")
        assert "applied  other  0001_schema.sql" in refused.stderr
        assert "hint: restore the file as it was" in refused.stderr
        assert refused.stdout == ""


def test_the_writer_gets_the_password_of_its_file(endpoints: Endpoints, tmp_path: Path) -> None:
    file = tmp_path / "writer.password"
    # Roles belong to the whole server: that of the other tests keeps its passwords.
    with own_server() as server, temporary_database(server) as database:
        own = replace(endpoints, postgres=database)
        nowhere = fraudctl(own, tmp_path, "migrate", "--passwords")
        assert nowhere.returncode == 3
        assert "postgres.writer_password_file" in nowhere.stderr
        for _again in range(2):
            done = fraudctl(own, tmp_path, "migrate", "--passwords", postgres__writer_password_file=str(file))
            assert done.returncode == 0, done.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        writer = replace(database, user=WRITER, password_file=file)
        with open_session(writer) as session:
            assert session.execute("SELECT current_user").fetchone() == (WRITER,)
        file.write_text("another", encoding="utf-8")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            open_session(writer)


def test_modes_exclude_each_other(empty: Endpoints, tmp_path: Path) -> None:
    both = fraudctl(empty, tmp_path, "migrate", "--check", "--dry-run")
    assert both.returncode == 2
    assert "exclude each other" in both.stderr
    assert fraudctl(empty, tmp_path, "migrate", "--check", "--passwords").returncode == 2


def test_no_database_server_is_exit_4(empty: Endpoints, tmp_path: Path) -> None:
    gone = fraudctl(empty, tmp_path, "migrate", postgres__port="1")
    assert gone.returncode == 4
    assert "error: PostgreSQL does not answer at 127.0.0.1:1" in gone.stderr
    assert "hint: " in gone.stderr
