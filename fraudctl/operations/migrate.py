"""Bring the database's schema up to date, or say how far it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.database import migrations
from fraudctl.database.migrations import Migration, MigrationReport

Mode = Literal["apply", "status", "check", "dry-run"]


@dataclass(frozen=True)
class MigrateRequest:
    endpoint: PostgresEndpoint
    mode: Mode
    connect_seconds: float
    lock_wait_seconds: float


def migrate(
    request: MigrateRequest, observe: Callable[[Migration], None] = lambda _migration: None
) -> MigrationReport:
    """Apply what is pending (mode `apply`), or only look.

    Raises:
        DataError: the migrations and the database's record of them disagree, or one fails.
        NotReadyError: a needed lock was held for too long.
        UnreachableError, ConfigError: there is no connection to be had.
    """
    if request.mode != "apply":
        return migrations.status(request.endpoint, connect_seconds=request.connect_seconds)
    return migrations.migrate(
        request.endpoint,
        connect_seconds=request.connect_seconds,
        lock_wait_seconds=request.lock_wait_seconds,
        observe=observe,
    )
