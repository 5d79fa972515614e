"""Migrations as lines of text."""

from fraudctl.database.migrations import Migration, MigrationReport
from fraudctl.operations.lifecycle.migrate import Mode


def lines(mode: Mode, report: MigrationReport) -> str:
    """Return what a run did, would do, or found."""
    if mode == "status":
        listed = [f"{migration.name}  applied {_when(migration)}" for migration in report.already]
        return "\n".join(listed + [f"{migration.name}  pending" for migration in report.pending])
    verb, named = {
        "apply": ("applied", report.applied),
        "check": ("pending", report.pending),
        "dry-run": ("would apply", report.pending),
    }[mode]
    if not named:
        return f"up to date: {report.already[-1].name}"
    return "\n".join(f"{verb} {migration.name}" for migration in named)


def _when(migration: Migration) -> str:
    assert migration.applied_at is not None
    return f"{migration.applied_at:%Y-%m-%d %H:%M:%S}Z"
