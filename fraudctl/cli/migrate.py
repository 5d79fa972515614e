"""fraudctl migrate: bring the database's schema up to date."""

from dataclasses import asdict
from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.errors import ConfigError, ExitCode, UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console


@command("migrate", example="fraudctl migrate --status")
def migrate(
    session: Session,
    status: Annotated[bool, typer.Option("--status", help="List every migration; change nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 if one is pending; change nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be applied.")] = False,
    passwords: Annotated[
        bool,
        typer.Option("--passwords", help="Give fraud_writer the one in postgres.writer_password_file, too."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Apply the migrations that the database lacks.

    Under the profile external it also creates the topic of transactions if that is missing (kafka.partitions
    and kafka.timestamp_type say how); an existing topic is left as it is. Any number of runs may race. A
    migration that was changed after it had been applied is refused.
    """
    from fraudctl.operations.lifecycle import migrate as operation
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import migrate as text

    if status + check + dry_run > 1:
        raise UsageError("--status, --check and --dry-run exclude each other", hint="give one of them")
    if passwords and (status or check or dry_run):
        raise UsageError(
            "--passwords goes with none of --status, --check and --dry-run", hint="leave it away"
        )
    mode: operation.Mode = "status" if status else "check" if check else "dry-run" if dry_run else "apply"
    settings = session.settings()
    places = endpoints(settings, session.paths, need=("postgres",))
    if passwords and places.writer_password_file is None:
        raise ConfigError(
            "there is no file for the password of fraud_writer",
            hint="name one in postgres.writer_password_file; a new password is put there if it is missing",
        )
    report = operation.migrate(
        operation.MigrateRequest(
            places.postgres,
            mode,
            settings.timeouts.connect_seconds,
            settings.timeouts.up_seconds,
            places.writer_password_file if passwords else None,
        )
    )
    if mode != "apply":
        console.write(to_json.dumps(report) if as_json else text.lines(mode, report))
        return ExitCode.ANSWER_IS_NO if check and report.pending else ExitCode.DONE
    if not as_json:
        console.write(text.lines(mode, report))
    topic = operation.ensure_topic(settings, places)
    if as_json:
        console.write(to_json.dumps({**asdict(report), "topic": topic}))
    elif topic == "created":
        console.write(f"created topic {settings.kafka.topic}")
    return ExitCode.DONE
