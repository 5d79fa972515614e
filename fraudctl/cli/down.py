"""fraudctl down: stop the stack."""

import os
import sys
from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.errors import ExitCode, UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console


@command("down", example="fraudctl down --volumes --yes")
def down(
    session: Session,
    volumes: Annotated[bool, typer.Option("--volumes", help="Remove data, logs and secrets too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> int:
    """Stop detector, broker and database; data is kept.

    The next `up` continues with the data, unless --volumes is given.
    """
    from fraudctl.operations.lifecycle.down import DownRequest
    from fraudctl.operations.lifecycle.down import down as operation
    from fraudctl.ui.text import down as text
    from fraudctl.ui.text.progress import ProgressView

    if volumes and not yes and not _confirmed(f"Remove all data of stack {session.paths.stack!r}?"):
        console.say("nothing was done")
        return ExitCode.ANSWER_IS_NO
    with ProgressView() as progress:
        request = DownRequest(session.settings(), session.paths, volumes, dict(os.environ))
        report = operation(request, observe=progress.show)
    console.write(to_json.dumps(report) if as_json else text.report(report))
    return ExitCode.DONE


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("--volumes removes data and there is no terminal to ask on", hint="add --yes")
    return typer.confirm(question, err=True)
