"""fraudctl replay: run the detector over the log again, and compare."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.instants import parse_instant
from fraudctl.cli.signals import graceful
from fraudctl.errors import ExitCode, UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console
from fraudctl.ui.text.progress import ProgressView

if TYPE_CHECKING:
    from fraudctl.operations.replay.session import ReplayRequest


@command("replay", example="fraudctl replay --from 2026-03-10T12:00:00Z --to 2026-03-10T13:00:00Z")
def replay(
    session: Session,
    last_batches: Annotated[
        int | None,
        typer.Option("--last-batches", min=1, metavar="K", help="Make Spark run the last K batches again."),
    ] = None,
    begin: Annotated[
        datetime | None,
        typer.Option("--from", parser=parse_instant, metavar="TIME", help="First event time of a range."),
    ] = None,
    finish: Annotated[
        datetime | None,
        typer.Option("--to", parser=parse_instant, metavar="TIME", help="Where the range ends."),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option("--rules", metavar="FILE", help="Judge by these rules instead of those in force."),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Recompute everything from the start of the log.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Put the result in place of what landed.")] = False,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, metavar="N", help="Records in one micro-batch.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --rebuild --apply.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many differences to show.")] = 20,
    as_json: Json = False,
) -> int:
    """Run the detector over the log again, and compare the results.

    Nothing is changed without --apply. --rules alone backtests a rules file on all that was processed, a
    range (--from, --to) on less. A range and --rebuild write to a shadow beside the live tables; the detector
    may go on meanwhile. --apply replaces, in one transaction, the windows wholly inside the range or, with
    --rebuild, everything and the checkpoint.

    --last-batches runs against the live tables, which must not change.

    Exit 0: no difference (or applied). Exit 1: differences, each named. Exit 3: no comparison is possible any
    more.
    """
    ways = [last_batches is not None, begin is not None or finish is not None, rebuild]
    rehearsal = rules is not None and not apply and not any(ways)
    if sum(ways) + rehearsal != 1 or (begin is None) != (finish is None):
        raise UsageError(
            "say what is to be replayed, in one way",
            hint="--last-batches K, or --from TIME --to TIME, or --rebuild, or --rules FILE alone",
        )
    if begin and finish and finish <= begin:
        raise UsageError("--to does not lie after --from", hint="exchange the two, or correct one of them")
    if last_batches and (apply or rules):
        given = " and ".join(name for name, value in (("--apply", apply), ("--rules", rules)) if value)
        raise UsageError(
            f"{given}: only for a range or --rebuild; --last-batches changes nothing",
            hint=f"leave {given} away",
        )
    if batch_size and last_batches:
        raise UsageError(
            "--batch-size has no meaning with --last-batches: they run as they were planned",
            hint="leave --batch-size away",
        )
    request = _request(session, batch_size, rules)
    if last_batches:
        return _last_batches(request, last_batches, as_json)
    if not rebuild:
        span = (begin, finish) if begin and finish else None
        return _range(request, span, str(rules) if rules else None, apply, limit, as_json)
    if apply and not yes and not _confirmed(session.paths.stack):
        console.say("nothing was done")
        return ExitCode.ANSWER_IS_NO
    return _rebuild(request, apply, limit, as_json)


def _request(session: Session, batch_size: int | None, rules: Path | None) -> "ReplayRequest":
    from fraudctl.config.rules_file import read_rules_document
    from fraudctl.operations.replay.session import ReplayRequest
    from fraudctl.operations.rules.apply import rules_in_force
    from fraudctl.operations.rules.check import checked_rules
    from fraudctl.runtime.stack import endpoints

    settings = session.settings({"spark.max_offsets_per_trigger": batch_size} if batch_size else None)
    places = endpoints(settings, session.paths)
    if rules:
        document: dict[str, Any] = read_rules_document(str(rules))
        for warning in checked_rules(settings, document).warnings:
            console.say(f"warning: {warning}")
    else:
        document = rules_in_force(settings, places.postgres).rules.document
    return ReplayRequest(settings, session.paths, places, document, dict(os.environ))


def _last_batches(request: "ReplayRequest", batches: int, as_json: bool) -> int:
    from fraudctl.operations.replay.rerun import replay_last
    from fraudctl.ui.text import replay as text

    with graceful() as stop, ProgressView() as progress, text.views(progress.show) as views:
        result = replay_last(request, batches, stop=stop, views=views)
    console.write(to_json.dumps(result) if as_json else text.last_batches(result))
    return ExitCode.DONE if result.unchanged else ExitCode.ANSWER_IS_NO


def _range(
    request: "ReplayRequest",
    span: tuple[datetime, datetime] | None,
    rules: str | None,
    apply: bool,
    limit: int,
    as_json: bool,
) -> int:
    from fraudctl.operations.replay.time_range import RangeRequest, replay_range
    from fraudctl.ui.text import replay as text

    asked = RangeRequest(request, span, rules=rules, apply=apply)
    with graceful() as stop, ProgressView() as progress, text.views(progress.show) as views:
        result = replay_range(asked, stop=stop, views=views)
    console.write(to_json.dumps(result) if as_json else text.range_replay(result, limit))
    return ExitCode.ANSWER_IS_NO if result.different and not result.applied else ExitCode.DONE


def _rebuild(request: "ReplayRequest", apply: bool, limit: int, as_json: bool) -> int:
    from fraudctl.operations.replay.rebuild import RebuildRequest, rebuild
    from fraudctl.ui.text import replay as text

    with graceful() as stop, ProgressView() as progress, text.views(progress.show) as views:
        result = rebuild(RebuildRequest(request, apply), stop=stop, views=views)
    console.write(to_json.dumps(result) if as_json else text.rebuild(result, limit))
    return ExitCode.ANSWER_IS_NO if result.differences and not result.applied else ExitCode.DONE


def _confirmed(stack: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("--apply replaces every row and there is no terminal to ask on", hint="add --yes")
    return typer.confirm(f"Replace all windows of stack {stack!r} with what the log gives?", err=True)
