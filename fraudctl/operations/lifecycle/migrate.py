"""`fraudctl migrate`: bring the database's schema up to date, or report its version."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fraudctl.broker import topics
from fraudctl.config.endpoints import WRITER, Endpoints, PostgresEndpoint
from fraudctl.config.model import Settings
from fraudctl.database import migrations, roles
from fraudctl.database.migrations import Migration, MigrationReport
from fraudctl.runtime.role_passwords import password_in

Mode = Literal["apply", "status", "check", "dry-run"]


@dataclass(frozen=True)
class MigrateRequest:
    """A request to migrate a database, or with another mode than `apply` to report its migrations."""

    endpoint: PostgresEndpoint
    mode: Mode
    connect_seconds: float
    lock_wait_seconds: float
    # The file with the new password of fraud_writer; None leaves all passwords as they are.
    writer_password_file: Path | None = None


def ensure_topic(settings: Settings, endpoints: Endpoints) -> Literal["created", "unchanged"] | None:
    """Create the topic of transactions for an external stack, which has no `fraudctl up`.

    Returns:
        Whether the topic was created; None if the stack is not external or no broker is configured.

    Raises:
        RefusedError: the cluster does not let this client create it.
        UnreachableError: no broker answers.
    """
    if not (endpoints.postgres.external and endpoints.bootstrap_servers):
        return None
    return topics.ensure_exists(
        endpoints.bootstrap_servers, settings.kafka, timeout_seconds=settings.timeouts.connect_seconds
    )


def migrate(
    request: MigrateRequest, observe: Callable[[Migration], None] = lambda _migration: None
) -> MigrationReport:
    """Apply pending migrations (mode `apply`) and set the writer's password, or only report what is pending.

    Raises:
        DataError: the migrations and the database's record of them disagree, or one fails, or the user may
            not set passwords.
        NotReadyError: a needed lock was held for too long.
        UnreachableError: the database does not answer.
        ConfigError: the database refuses the connection.
    """
    if request.mode != "apply":
        return migrations.status(request.endpoint, connect_seconds=request.connect_seconds)
    report = migrations.migrate(
        request.endpoint,
        connect_seconds=request.connect_seconds,
        lock_wait_seconds=request.lock_wait_seconds,
        observe=observe,
    )
    if request.writer_password_file is not None:
        password = password_in(request.writer_password_file)
        roles.set_passwords(request.endpoint, {WRITER: password}, connect_seconds=request.connect_seconds)
    return report
