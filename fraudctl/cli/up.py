"""fraudctl up: start the stack."""

import os
from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.signals import graceful
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console


@command("up", example="fraudctl up --any-port")
def up(
    session: Session,
    any_port: Annotated[bool, typer.Option("--any-port", help="Use other ports if some are taken.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, and do nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Start broker and database, migrate, create the topic.

    Returns once all of them answer their clients. What runs already is left as it is: a second `up` changes
    nothing. The first one downloads jars of about 110 MB, or images; after that no network is needed.
    """
    from fraudctl.operations.lifecycle import up as operation
    from fraudctl.ui.text import up as text
    from fraudctl.ui.text.progress import ProgressView

    request = operation.UpRequest(session.settings(), session.paths, dict(os.environ), any_port)
    if dry_run:
        planned = operation.plan(request)
        console.write(to_json.dumps(planned) if as_json else text.plan(planned))
        return
    with graceful() as stop, ProgressView() as progress:
        report = operation.up(request, stop=stop, observe=progress.show)
    console.write(to_json.dumps(report) if as_json else text.report(report))
    if not as_json:
        console.say(text.NEXT)
