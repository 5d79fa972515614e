"""Sessions are as they were asked for: whatever the environment, a role, a database or a pooler says."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database import connection as subject
from fraudctl.database import creation, migrations
from fraudctl.database.connection import connect
from fraudctl.errors import ConfigError, RefusedError, UnreachableError
from fraudctl.runtime.ports import free_port
from tests.support.databases import open_session
from tests.support.own_server import own_server
from tests.support.swallowing_proxy import SwallowingProxy

pytestmark = pytest.mark.services

ASKED = {"lock_timeout": "3s", "default_transaction_read_only": "on"}
EXPECTED = {
    "TimeZone": "UTC",
    "search_path": "fraud",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "lock_timeout": "3s",
    "statement_timeout": "4s",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "read committed",
    "role": "none",
    "row_security": "on",
    "transform_null_equals": "off",
    "application_name": "test",
}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresEndpoint]:
    with own_server() as endpoint:
        yield endpoint


@pytest.fixture(autouse=True)
def no_pooler_is_known() -> None:
    subject._kept_apart.clear()


def session_of(endpoint: PostgresEndpoint) -> dict[str, str]:
    """Connect as the detector does, and return what the session says of itself in a later transaction."""
    with connect(
        endpoint, application="test", timeout_seconds=5, statement_seconds=4, options=ASKED
    ) as connection:
        connection.rollback()
        return {
            name: str((connection.execute("SELECT current_setting(%s)", (name,)).fetchone() or [""])[0])
            for name in EXPECTED
        }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PGSSLMODE", "require"),
        ("PGSSLMODE", "nonsense"),
        ("PGSSLROOTCERT", "system"),
        ("PGSSLNEGOTIATION", "direct"),
        ("PGSSLMAXPROTOCOLVERSION", "TLSv0"),
        ("PGHOST", "nowhere.invalid"),
        ("PGHOSTADDR", "127.0.0.9"),
        ("PGPORT", "1"),
        ("PGSERVICE", "x"),
        ("PGSERVICEFILE", "/nonexistent"),
        ("PGCHANNELBINDING", "require"),
        ("PGCLIENTENCODING", "LATIN1"),
        ("PGOPTIONS", "-c search_path=elsewhere -c statement_timeout=1"),
        ("PGTZ", "Nowhere/Land"),
        ("PGDATESTYLE", "SQL, DMY"),
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGLOADBALANCEHOSTS", "nonsense"),
        ("PGREQUIREAUTH", "md5"),
        ("PGREQUIREPEER", "nobody"),
        ("PGGSSENCMODE", "require"),
        ("PGPASSFILE", "/nonexistent"),
        ("PGPASSWORD", "wrong"),
        ("PGUSER", "nobody"),
        ("PGDATABASE", "nothing"),
        ("PGAPPNAME", "another"),
        ("PGMINPROTOCOLVERSION", "3.2"),
        ("PGCONNECT_TIMEOUT", "nonsense"),
    ],
)
def test_a_variable_of_libpq_changes_nothing(
    server: PostgresEndpoint, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert session_of(server) == EXPECTED


def test_a_service_file_is_not_read(
    server: PostgresEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".pg_service.conf").write_text("[x]\nsslmode=require\nrequire_auth=md5\n", encoding="utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / ".pg_service.conf"))
    monkeypatch.setenv("PGSERVICE", "x")
    assert session_of(server) == EXPECTED


@pytest.mark.parametrize(
    ("name", "value"), [("PGSSLMODE", "require"), ("PGCHANNELBINDING", "require"), ("PGREQUIREAUTH", "md5")]
)
def test_for_an_external_database_the_variables_of_tls_count_and_are_named(
    server: PostgresEndpoint, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        session_of(replace(server, external=True))
    assert f"{name}={value}" in caught.value.detail
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "value"), [("PGCLIENTENCODING", "LATIN1"), ("PGOPTIONS", "-c timezone=Asia/Tokyo")]
)
def test_for_an_external_database_encoding_and_options_never_count(
    server: PostgresEndpoint, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert session_of(replace(server, external=True)) == EXPECTED


def test_the_defaults_of_a_role_and_a_database_change_nothing(server: PostgresEndpoint) -> None:
    changes = {
        "statement_timeout": "1",
        "search_path": "elsewhere",
        "timezone": "Asia/Tokyo",
        "default_transaction_isolation": "serializable",
        "client_encoding": "LATIN1",
        "role": "pg_monitor",
        "row_security": "off",
        "transform_null_equals": "on",
        "idle_session_timeout": "1",
    }
    with open_session(server) as session:
        session.execute("CREATE ROLE odd LOGIN SUPERUSER")
        session.execute(sql.SQL("ALTER ROLE odd PASSWORD {}").format(sql.Literal(server.password())))
        for name, value in changes.items():
            session.execute(
                sql.SQL("ALTER ROLE odd SET {} TO {}").format(sql.Identifier(name), sql.Literal(value))
            )
    assert session_of(replace(server, user="odd")) == EXPECTED


def test_a_database_that_is_read_only_by_default_can_be_written_to(server: PostgresEndpoint) -> None:
    with open_session(server) as session:
        session.execute("CREATE ROLE careful LOGIN SUPERUSER")
        session.execute(sql.SQL("ALTER ROLE careful PASSWORD {}").format(sql.Literal(server.password())))
        session.execute("ALTER ROLE careful SET default_transaction_read_only TO on")
    careful = replace(server, user="careful")
    with connect(careful, application="test", timeout_seconds=5) as connection:
        connection.execute("CREATE TEMPORARY TABLE written (one int)")


def test_sessions_without_triggers_are_refused(server: PostgresEndpoint) -> None:
    with open_session(server) as session:
        session.execute("CREATE ROLE replicating LOGIN SUPERUSER")
        session.execute(sql.SQL("ALTER ROLE replicating PASSWORD {}").format(sql.Literal(server.password())))
        session.execute("ALTER ROLE replicating SET session_replication_role TO replica")
    with pytest.raises(RefusedError, match="session_replication_role = replica"):
        session_of(replace(server, user="replicating"))


def test_a_proxy_that_swallows_start_up_options_is_no_obstacle(server: PostgresEndpoint) -> None:
    with SwallowingProxy(server) as proxy:
        assert session_of(replace(server, port=proxy.port)) == EXPECTED
        assert b"client_encoding" in proxy.swallowed
        assert proxy.clients == 1


def test_a_pooler_that_keeps_sessions_apart_is_asked_once(server: PostgresEndpoint) -> None:
    with SwallowingProxy(server, made_up_process=True) as proxy:
        behind = replace(server, port=proxy.port)
        assert session_of(behind) == EXPECTED
        assert proxy.clients == 2
        assert session_of(behind) == EXPECTED
        assert proxy.clients == 3


@pytest.mark.parametrize(
    "name", ["fraud-prod", "me@server", "Fraud Prod", 'quo"ted', "a=b", "\u00fcml\u00e4ut"]
)
def test_a_database_and_a_user_of_any_name_can_be_used(server: PostgresEndpoint, name: str) -> None:
    with open_session(server) as session:
        session.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER").format(sql.Identifier(name)))
        session.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(server.password()))
        )
    mine = replace(server, database=name, user=name, external=True)
    assert creation.ensure_database(mine, timeout_seconds=5)
    assert not creation.ensure_database(mine, timeout_seconds=5)
    applied = migrations.migrate(mine, connect_seconds=5, lock_wait_seconds=30).applied
    assert applied
    assert session_of(mine) == EXPECTED
    with psycopg.connect(mine.dsn(masked=False)) as session:
        assert session.execute("SELECT current_database(), current_user").fetchone() == (name, name)


def test_a_database_that_does_not_exist_is_told_with_the_line_that_makes_it(server: PostgresEndpoint) -> None:
    with pytest.raises(ConfigError) as caught:
        session_of(replace(server, database='no "such', external=True))
    assert 'CREATE DATABASE "no ""such" ENCODING' in caught.value.hint


@contextmanager
def pgbouncer(server: PostgresEndpoint, folder: Path, mode: str, ignored: str) -> Iterator[PostgresEndpoint]:
    """Run Debian's PgBouncer before the server; skip where it is not installed."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    port = free_port()
    (folder / "users.txt").write_text(f'"{server.user}" "{server.password()}"\n', encoding="utf-8")
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server.host} port={server.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {folder}/users.txt\n"
        f"pool_mode = {mode}\nignore_startup_parameters = {ignored}\n",
        encoding="utf-8",
    )
    identity: dict[str, object] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        nobody = pwd.getpwnam("nobody")
        identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for path in (folder, *folder.iterdir()):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        for path in folder.parents:
            if path.stat().st_uid == 0 and str(path).startswith("/tmp/"):
                path.chmod(0o755)
    log = folder.with_name("pgbouncer.log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        [program, str(folder / "pgbouncer.ini")],
        stdout=log,
        stderr=log,
        cwd="/",
        **identity,  # type: ignore[call-overload]
    )
    try:
        deadline, stop = Deadline(20), StopFlag()
        while True:
            try:
                psycopg.connect(replace(server, port=port).dsn(masked=False)).close()
                break
            except psycopg.OperationalError:
                assert process.poll() is None and not deadline.expired, Path(log.name).read_text()
                stop.wait(0.1)
        yield replace(server, port=port)
    finally:
        process.terminate()
        process.wait(10)
        log.close()


@pytest.mark.parametrize("ignored", ["", "options,extra_float_digits"])
def test_behind_pgbouncer_with_session_pooling_all_is_as_asked(
    server: PostgresEndpoint, ignored: str, tmp_path: Path
) -> None:
    folder = tmp_path / "bouncer"
    folder.mkdir()
    with pgbouncer(server, folder, "session", ignored) as behind:
        assert session_of(behind) == EXPECTED
        assert session_of(behind) == EXPECTED


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_behind_pgbouncer_with_another_pooling_the_reason_is_told(
    server: PostgresEndpoint, mode: str, tmp_path: Path
) -> None:
    folder = tmp_path / "bouncer"
    folder.mkdir()
    with pgbouncer(server, folder, mode, "options") as behind, pytest.raises(RefusedError) as caught:
        session_of(behind)
    assert "does not keep a session's settings" in caught.value.message
    assert "pool_mode = session" in caught.value.hint


def test_a_server_that_is_not_there_is_told_without_a_hint_to_start_it(server: PostgresEndpoint) -> None:
    with pytest.raises(UnreachableError) as caught:
        session_of(replace(server, port=1, external=True))
    assert "fraudctl up" not in caught.value.hint
