"""`fraudctl env`: environment variables with which other Kafka and PostgreSQL clients reach a stack."""

from dataclasses import dataclass

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.environment import LIBPQ_TLS
from fraudctl.runtime import stack
from fraudctl.runtime.files import make_folder, write_whole

_MISLEADING = ("PGHOSTADDR", "PGSERVICE", "PGOPTIONS", "PGTARGETSESSIONATTRS", "PGPASSWORD")


@dataclass(frozen=True)
class EnvRequest:
    """A request for the variables of one stack."""

    settings: Settings
    paths: StackPaths


@dataclass(frozen=True)
class EnvReport:
    """Variables and their values, in the order in which they are printed; the password is not among them."""

    variables: dict[str, str]
    # Variables of libpq that would lead psql elsewhere, or demand TLS of the stack's own database without it.
    unset: tuple[str, ...] = ()


def env(request: EnvRequest) -> EnvReport:
    """Write the password file that libpq reads (PGPASSFILE, mode 0600), and return all variables.

    Raises:
        UnreachableError: the stack has never been up.
        ConfigError: the database's password cannot be read, or an external stack lacks an address.
        RefusedError: the stack's state cannot be read, or names another profile or database.
    """
    endpoints = stack.endpoints(request.settings, request.paths, need=())
    postgres = endpoints.postgres
    line = _pgpass(postgres)
    file = make_folder(request.paths.secrets, mode=0o700) / "pgpass"
    if not file.is_file() or file.read_text(encoding="utf-8") != line:
        write_whole(file, line)
    return EnvReport(
        {
            "KAFKA_BOOTSTRAP_SERVERS": endpoints.bootstrap_servers,
            "PGHOST": postgres.host,
            "PGPORT": str(postgres.port),
            "PGDATABASE": postgres.database,
            "PGUSER": postgres.user,
            "PGPASSFILE": str(file),
            "DATABASE_URL": postgres.dsn(),
        },
        unset=_MISLEADING if postgres.external else (*_MISLEADING, *LIBPQ_TLS.values()),
    )


def _pgpass(postgres: PostgresEndpoint) -> str:
    """Return the line host:port:*:user:password for PGPASSFILE, with colons and backslashes escaped.

    Source: https://www.postgresql.org/docs/current/libpq-pgpass.html
    """
    parts = (postgres.host, str(postgres.port), "*", postgres.user, postgres.password())
    return ":".join(part.replace("\\", "\\\\").replace(":", "\\:") for part in parts) + "\n"
