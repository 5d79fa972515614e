"""Apply sql/migrations to a database: in order, each one once, and entirely or not at all.

Applied migrations are recorded in `fraudctl_meta.schema_migrations`. The table has a schema of its own,
because the first migration creates the pipeline's schema and the record must exist before that. The schema is
not called `fraudctl`, because with the default search path a user of that name would create its objects
there. Each migration is one transaction: it takes an advisory lock, reads the record again, applies one file
and records it. So any number of runs may race, and the lock works through a transaction pooler as well.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import errors as sqlstate

from fraudctl import assets
from fraudctl.clock import Deadline
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database.connection import Connection, connect
from fraudctl.database.migration_errors import broken_sql, busy, lost_connection
from fraudctl.errors import DataError

FILE_NAME = re.compile(r"([0-9]{4})_[a-z0-9][a-z0-9_]*\.sql")
_LOCK = int.from_bytes(b"fraudctl") >> 1
# A migration that waits for a table blocks every query behind it: give up soon, then try again.
_TABLE_LOCK_SECONDS = 4.0
_APPLICATION = "fraudctl-migrate"
_TABLE = "fraudctl_meta.schema_migrations"
_CREATE = f"""
CREATE SCHEMA IF NOT EXISTS fraudctl_meta;
CREATE TABLE IF NOT EXISTS {_TABLE} (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    sha256     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_TRANSACTION_WORDS = {"begin", "start", "commit", "end", "rollback", "abort", "prepare"}
_OPAQUE = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$[A-Za-z_0-9]*\$).*?\1", re.DOTALL
)


@dataclass(frozen=True)
class Migration:
    """One file of the folder; `applied_at` is None until it has been applied."""

    version: int
    name: str
    sha256: str
    applied_at: datetime | None = None


@dataclass(frozen=True)
class MigrationReport:
    """The migrations that this run `applied`, those that were `already` applied, and those still `pending`.

    Migrations that a concurrent run has applied count as `already` applied.
    """

    applied: tuple[Migration, ...]
    already: tuple[Migration, ...]
    pending: tuple[Migration, ...]


@dataclass(frozen=True)
class Script:
    """A migration and its SQL text."""

    migration: Migration
    sql: str


def migrate(
    endpoint: PostgresEndpoint,
    *,
    connect_seconds: float,
    lock_wait_seconds: float,
    dry_run: bool = False,
    folder: Path | None = None,
    observe: Callable[[Migration], None] = lambda _migration: None,
) -> MigrationReport:
    """Apply every pending migration, and call `observe` after each one has been committed.

    Raises:
        DataError: the folder and the record disagree, or a migration fails.
        NotReadyError: another run, or a long query, held a needed lock for `lock_wait_seconds`.
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
    """
    if dry_run:
        return status(endpoint, connect_seconds=connect_seconds, folder=folder)
    scripts = read_folder(folder or assets.sql() / "migrations")
    deadline = Deadline(lock_wait_seconds)
    applied: list[Migration] = []
    with connect(
        endpoint,
        application=_APPLICATION,
        timeout_seconds=connect_seconds,
        # Migrations name their schema; unqualified names must not depend on a schema that they create.
        options={"search_path": "public"},
    ) as connection:
        while (migration := _apply_next(connection, scripts, deadline)) is not None:
            applied.append(migration)
            observe(migration)
        recorded = _recorded(connection)
    mine = {migration.version for migration in applied}
    already = tuple(migration for migration in recorded if migration.version not in mine)
    return MigrationReport(tuple(applied), already, ())


def status(
    endpoint: PostgresEndpoint, *, connect_seconds: float, folder: Path | None = None
) -> MigrationReport:
    """Return which migrations are applied and which are pending; change nothing.

    Raises:
        DataError: the folder and the record disagree.
        UnreachableError: PostgreSQL does not answer.
        ConfigError: PostgreSQL refuses the connection.
    """
    scripts = read_folder(folder or assets.sql() / "migrations")
    with connect(
        endpoint,
        application=_APPLICATION,
        timeout_seconds=connect_seconds,
        options={"default_transaction_read_only": "on"},
    ) as connection:
        recorded = _recorded(connection)
    pending = _pending(scripts, recorded)
    return MigrationReport((), recorded, tuple(script.migration for script in pending))


def read_folder(folder: Path) -> list[Script]:
    """Return the migrations of a folder in order.

    Raises:
        DataError: the folder cannot be read, has no migration, or holds a file that is not a valid migration.
    """
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
        contents = [(file, FILE_NAME.fullmatch(file.name), file.read_bytes()) for file in files]
    except OSError as error:
        raise DataError(f"the migrations in {folder} cannot be read", detail=str(error)) from error
    scripts: list[Script] = []
    for file, name, content in contents:
        if name is None:
            raise DataError(
                f"{file} is not named like a migration",
                hint="name it NNNN_lower_case_words.sql, or move it elsewhere",
            )
        version = int(name[1])
        if version != len(scripts) + 1:
            raise DataError(
                f"the migrations are not numbered one after the other: {file.name} follows number"
                f" {len(scripts)}",
                detail=f"in {folder}",
                hint=f"the next file must begin with {len(scripts) + 1:04}_",
            )
        digest = hashlib.sha256(content).hexdigest()
        scripts.append(Script(Migration(version, file.name, digest), _text(file, content)))
    if not scripts:
        raise DataError(f"there is no migration in {folder}", hint="reinstall fraudctl")
    return scripts


def _text(file: Path, content: bytes) -> str:
    try:
        sql = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8", detail=str(error), hint="save it as UTF-8") from error
    if "\ufeff" in sql:
        raise DataError(f"{file} holds a byte-order mark", hint="save it as UTF-8 without a byte-order mark")
    for statement in _OPAQUE.sub(" ", sql).split(";"):
        word = statement.split(maxsplit=1)[0].lower() if statement.strip() else ""
        if word in _TRANSACTION_WORDS:
            raise DataError(
                f"{file} controls transactions itself ({word.upper()})",
                detail="a migration and its record are committed together, in one transaction",
                hint="leave the statement out",
            )
    return sql


def _apply_next(connection: Connection, scripts: list[Script], deadline: Deadline) -> Migration | None:
    """Apply and record the first pending migration in one transaction; return None if none is pending."""
    while True:
        script: Script | None = None
        try:
            with connection.transaction():
                _take_lock(connection, deadline)
                pending = _pending(scripts, _recorded(connection))
                if not pending:
                    return None
                script = pending[0]
                _set_lock_timeout(connection, min(deadline.remaining(), _TABLE_LOCK_SECONDS))
                return _apply(connection, script)
        except sqlstate.LockNotAvailable as error:
            if deadline.expired:
                raise busy(script.migration.name if script else None, deadline.seconds, error) from error
        except psycopg.Error as error:
            if connection.broken:
                raise lost_connection(script.migration.name if script else None, error) from error
            name, sql = (script.migration.name, script.sql) if script else ("the migrations' record", "")
            raise broken_sql(name, sql, error) from error


def _take_lock(connection: Connection, deadline: Deadline) -> None:
    _set_lock_timeout(connection, deadline.remaining())
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    if not _has_record(connection):
        # IF NOT EXISTS alone is not safe against a race; the lock makes it safe.
        connection.execute(_CREATE)


def _set_lock_timeout(connection: Connection, seconds: float) -> None:
    milliseconds = max(1, round(seconds * 1000))  # 0 would mean no limit
    connection.execute("SELECT set_config('lock_timeout', %s, true)", (str(milliseconds),))


def _apply(connection: Connection, script: Script) -> Migration:
    connection.execute(script.sql.encode())  # as bytes, so that psycopg does not interpret per cent signs
    row = connection.execute(
        f"INSERT INTO {_TABLE} (version, name, sha256) VALUES (%s, %s, %s) RETURNING applied_at",
        (script.migration.version, script.migration.name, script.migration.sha256),
    ).fetchone()
    assert row is not None
    return Migration(script.migration.version, script.migration.name, script.migration.sha256, row[0])


def _has_record(connection: Connection) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (_TABLE,)).fetchone()
    return row is not None and bool(row[0])


def _recorded(connection: Connection) -> tuple[Migration, ...]:
    if not _has_record(connection):
        return ()
    rows = connection.execute(f"SELECT version, name, sha256, applied_at FROM {_TABLE} ORDER BY version")
    return tuple(Migration(*row) for row in rows)


def _pending(scripts: list[Script], recorded: tuple[Migration, ...]) -> list[Script]:
    """Return the scripts after the last recorded one.

    Raises:
        DataError: a recorded migration is missing, unknown or changed.
    """
    for number, migration in enumerate(recorded, start=1):
        if migration.version != number:
            raise DataError(
                f"the database's record of migrations has a gap: number {number} is missing",
                detail=f"{migration.name} has been applied without it",
                hint=f"somebody changed {_TABLE}; restore the missing row",
            )
        if number > len(scripts):
            raise DataError(
                f"the database is newer than this fraudctl: it has {migration.name}",
                detail=f"this version ends with {scripts[-1].migration.name}",
                hint="use the version of fraudctl that applied it, or a newer one",
            )
        file = scripts[number - 1].migration
        if (file.name, file.sha256) != (migration.name, migration.sha256):
            raise DataError(
                f"{file.name} has changed since it was applied",
                detail=(
                    f"applied  {migration.sha256}  {migration.name}\non disk  {file.sha256}  {file.name}"
                ),
                hint="restore the file as it was, and put the change into a new migration",
            )
    return scripts[len(recorded) :]
