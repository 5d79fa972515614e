"""fraudctl deadletters: list, show, requeue and purge dead letters."""

import sys
from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, app, command
from fraudctl.cli.durations import parse_duration
from fraudctl.cli.panels import PanelGroup, panel_of
from fraudctl.errors import ExitCode, UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console

group = typer.Typer(no_args_is_help=True, help="Look at refused records, send them again, empty them.")
app.add_typer(group, name="deadletters", cls=PanelGroup, rich_help_panel=panel_of("deadletters"))

_DAY_SECONDS = 86_400.0
# Kafka counts partitions in 32 bits and offsets in 64.
_LAST_PARTITION, _LAST_OFFSET = 2**31 - 1, 2**63 - 1


def _reason(text: str) -> str:
    from fraudctl.events.schema import REASONS

    if text not in REASONS:
        raise typer.BadParameter(f"{text!r} is no reason to refuse a record; known are {', '.join(REASONS)}")
    return text


Reason = Annotated[
    str | None,
    typer.Option("--reason", parser=_reason, metavar="REASON", help="Only this reason, such as late."),
]


@command("list", example="fraudctl deadletters list --reason late --since 1h", group=group)
def list_letters(
    session: Session,
    reason: Reason = None,
    since: Annotated[
        float | None,
        typer.Option(
            "--since", parser=parse_duration, metavar="TIME", help="Only what arrived since (90s, 1h, 7d)."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many letters to show.")] = 20,
    as_json: Json = False,
) -> None:
    """List dead letters, newest first, and their counts by reason."""
    from fraudctl.operations.dead_letters import inspect_letters as operation
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import dead_letters as text

    settings = session.settings()
    request = operation.LettersRequest(endpoints(settings, session.paths), settings, reason, since, limit)
    result = operation.list_letters(request)
    console.write(to_json.dumps(result) if as_json else text.listed(result))


@command("show", example="fraudctl deadletters show 0 1234", group=group)
def show(
    session: Session,
    partition: Annotated[
        int, typer.Argument(min=0, max=_LAST_PARTITION, help="Partition of the refused record.")
    ],
    offset: Annotated[int, typer.Argument(min=0, max=_LAST_OFFSET, help="Its offset.")],
    topic: Annotated[str | None, typer.Option("--topic", help="Its topic, if it is not kafka.topic.")] = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter, and what exactly is wrong with it."""
    from fraudctl.operations.dead_letters import inspect_letters as operation
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import dead_letters as text

    settings = session.settings({"kafka.topic": topic})
    request = operation.LettersRequest(endpoints(settings, session.paths), settings)
    result = operation.show_letter(request, partition, offset)
    console.write(to_json.dumps(result) if as_json else text.shown(result))


@command("requeue", example="fraudctl deadletters requeue --reason future", group=group)
def requeue(
    session: Session,
    reason: Reason = None,
    partition: Annotated[
        int | None, typer.Option("--partition", min=0, max=_LAST_PARTITION, help="With --offset: one.")
    ] = None,
    offset: Annotated[
        int | None, typer.Option("--offset", min=0, max=_LAST_OFFSET, help="With --partition: one.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every refused record.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was sent again before.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what would only be refused again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, send nothing.")] = False,
    as_json: Json = False,
) -> int:
    """Send the original records to the topic again, each once.

    Records that would only be rejected again are left out, unless --force is given.

    Exit 0: all were sent, now or before. Exit 1: some were not, each named with its reason. Exit 6: Kafka did
    not take some of them.
    """
    from fraudctl.operations.dead_letters import requeue as operation
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import dead_letters as text

    settings = session.settings()
    places = (reason, partition, offset, everything)
    request = operation.RequeueRequest(
        endpoints(settings, session.paths), settings, *places, again=again, force=force, dry_run=dry_run
    )
    result = operation.requeue_letters(request)
    console.write(to_json.dumps(result) if as_json else text.requeued(result))
    return ExitCode.DATA if result.failed else ExitCode.DONE if result.complete else ExitCode.ANSWER_IS_NO


@command("purge", example="fraudctl deadletters purge --older-than 30d --yes", group=group)
def purge(
    session: Session,
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than",
            parser=parse_duration,
            metavar="TIME",
            help="Such as 12h or 30d; dead_letters.expire_days if not given.",
        ),
    ] = None,
    reason: Reason = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> int:
    """Remove old payloads of dead letters for good.

    That a record was rejected, its offset and the reason stay on record.
    """
    from fraudctl.operations.dead_letters import inspect_letters as operation
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import dead_letters as text

    settings = session.settings()
    seconds = older_than or settings.dead_letters.expire_days * _DAY_SECONDS
    request = operation.LettersRequest(endpoints(settings, session.paths), settings, reason)
    if not yes and not _confirmed(text.question(operation.count_expired(request, seconds))):
        console.say("nothing was done")
        return ExitCode.ANSWER_IS_NO
    result = operation.purge_letters(request, seconds)
    console.write(to_json.dumps(result) if as_json else text.purged(result))
    return ExitCode.DONE


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("purge removes payloads and there is no terminal to ask on", hint="add --yes")
    return typer.confirm(question, err=True)
