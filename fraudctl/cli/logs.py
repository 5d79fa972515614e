"""fraudctl logs: print what the services wrote."""

import os
from typing import Annotated

import typer

from fraudctl.cli.command import Session, command
from fraudctl.cli.signals import graceful
from fraudctl.runtime.log_files import Service
from fraudctl.ui import console


@command("logs", example="fraudctl logs kafka -n 50 -f")
def logs(
    session: Session,
    service: Annotated[Service | None, typer.Argument(help="Whose log; all of them if left out.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Print the last lines of the services' logs."""
    from fraudctl.operations.lifecycle.logs import LogLine, LogsRequest
    from fraudctl.operations.lifecycle.logs import logs as operation

    request = LogsRequest(session.settings(), session.paths, service, lines, follow, dict(os.environ))

    def show(line: LogLine) -> None:
        console.write(line.text if service else f"{line.service:<12} | {line.text}")

    with graceful() as stop:
        operation(request, stop=stop, on_line=show)
