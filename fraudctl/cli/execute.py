"""fraudctl exec: run a command inside a container."""

import os
import sys
from typing import Annotated, cast

import typer

from fraudctl.cli.command import Session, command
from fraudctl.errors import UsageError
from fraudctl.runtime.log_files import Service


@command("exec", example="fraudctl exec postgres pg_isready")
def execute(
    session: Session,
    service: Annotated[Service, typer.Argument(help="In whose container.")],
    argv: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="After --, if it has options.")],
) -> int:
    """Run a command in a service's container (docker only).

    Exits with the command's exit code. The command has no terminal and no input: for those use `docker exec
    -it`.
    """
    from fraudctl.operations.lifecycle.exec_in import ExecuteRequest
    from fraudctl.operations.lifecycle.exec_in import execute as operation
    from fraudctl.runtime.driver import ServiceName

    if service is Service.DETECTOR:
        raise UsageError(
            "the detector is no service of the stack", hint="`fraudctl status` says which services it has"
        )
    name = cast(ServiceName, str(service))
    request = ExecuteRequest(session.settings(), session.paths, name, argv, dict(os.environ))
    return operation(request, on_output=_pass_on)


def _pass_on(piece: bytes, is_error: bool) -> None:
    stream = (sys.stderr if is_error else sys.stdout).buffer
    stream.write(piece)
    stream.flush()
