"""Where the broker and the database of a stack answer: what clients need to know, and no more."""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from fraudctl.config.password_file import read_password

# Roles that sql/migrations make. Who is one of them may do what the task needs, and nothing else.
MIGRATOR = "fraud_migrator"
WRITER = "fraud_writer"
READER = "fraud_reader"


@dataclass(frozen=True)
class PostgresEndpoint:
    host: str
    port: int
    database: str
    user: str
    password_file: Path
    # Where the pipeline's tables are: statements name tables only, the session's search path does the rest.
    schema: str = "fraud"
    # It runs elsewhere: a user's variables for TLS (PGSSLMODE, PGSSLROOTCERT) count.
    external: bool = False

    def password(self) -> str:
        """Read the password from its file.

        Raises:
            ConfigError: the file cannot be read, or holds no password.
        """
        return read_password(self.password_file, external=self.external)

    def dsn(self, *, masked: bool = True) -> str:
        """Return a libpq URI, without the password unless asked for."""
        secret = "" if masked else f":{quote(self.password(), safe='')}"
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        login = f"{quote(self.user, safe='')}{secret}"
        return f"postgresql://{login}@{host}:{self.port}/{quote(self.database, safe='')}"


@dataclass(frozen=True)
class Endpoints:
    """`postgres` is for everything but the detector, which may do less: it connects as `writer`."""

    bootstrap_servers: str
    postgres: PostgresEndpoint
    # None: there is one user for everything.
    writer_password_file: Path | None = None

    @property
    def writer(self) -> PostgresEndpoint:
        """The same tables, as the role that lands batches."""
        if self.writer_password_file is None:
            return self.postgres
        return replace(self.postgres, user=WRITER, password_file=self.writer_password_file)
