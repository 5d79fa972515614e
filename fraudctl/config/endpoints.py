"""Where the broker and the database of a stack answer: what clients need to know, and no more."""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from fraudctl.errors import ConfigError

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

    def password(self) -> str:
        """Read the password from its file.

        Raises:
            ConfigError: the file cannot be read.
        """
        try:
            return self.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"the database password cannot be read from {self.password_file}",
                detail=str(error),
                hint="run `fraudctl up` first, or set postgres.password_file",
            ) from error

    def dsn(self, *, masked: bool = True) -> str:
        """A libpq URI; without the password unless asked for."""
        secret = "" if masked else f":{quote(self.password(), safe='')}"
        return f"postgresql://{quote(self.user, safe='')}{secret}@{self.host}:{self.port}/{self.database}"


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
