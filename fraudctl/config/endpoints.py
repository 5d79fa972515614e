"""Addresses of a stack's broker and database for their clients."""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from fraudctl.config.password_file import read_password

# Roles that sql/migrations create; each may do only what its task needs.
MIGRATOR = "fraud_migrator"
WRITER = "fraud_writer"
READER = "fraud_reader"


@dataclass(frozen=True)
class PostgresEndpoint:
    """The address of a database, and the user and schema to use there."""

    host: str
    port: int
    database: str
    user: str
    password_file: Path
    # The schema of the pipeline's tables: statements do not name it, the session's search path does.
    schema: str = "fraud"
    # The database runs elsewhere: the user's variables for TLS (PGSSLMODE, PGSSLROOTCERT) apply.
    external: bool = False

    def password(self) -> str:
        """Read the password from its file.

        Raises:
            ConfigError: the file cannot be read, or holds no password.
        """
        return read_password(self.password_file, external=self.external)

    def dsn(self, *, masked: bool = True) -> str:
        """Return a libpq URI, without the password if `masked`.

        Raises:
            ConfigError: the password is asked for, and its file cannot be read or holds none.
        """
        secret = "" if masked else f":{quote(self.password(), safe='')}"
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        login = f"{quote(self.user, safe='')}{secret}"
        return f"postgresql://{login}@{host}:{self.port}/{quote(self.database, safe='')}"


@dataclass(frozen=True)
class Endpoints:
    """The addresses of one stack.

    `postgres` is for everything but the detector. The detector connects as `writer`, which has fewer rights.
    """

    bootstrap_servers: str
    postgres: PostgresEndpoint
    # None: one user does everything.
    writer_password_file: Path | None = None

    @property
    def writer(self) -> PostgresEndpoint:
        """Return the same database, with the role that writes batches."""
        if self.writer_password_file is None:
            return self.postgres
        return replace(self.postgres, user=WRITER, password_file=self.writer_password_file)
