"""fraudctl restart: stop services and start them again."""

import os
from typing import Annotated, cast

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.signals import graceful
from fraudctl.errors import UsageError
from fraudctl.runtime.log_files import Service
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console


@command("restart", example="fraudctl restart kafka")
def restart(
    session: Session,
    service: Annotated[Service | None, typer.Argument(help="Which; all of them if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Stop broker or database cleanly, and start it again.

    A running detector waits for them. Other services that are missing are started as well.
    """
    from fraudctl.operations.lifecycle.restart import RestartRequest
    from fraudctl.operations.lifecycle.restart import restart as operation
    from fraudctl.operations.lifecycle.up import UpRequest
    from fraudctl.runtime.driver import ServiceName
    from fraudctl.ui.text import up as text
    from fraudctl.ui.text.progress import ProgressView

    if service is Service.DETECTOR:
        raise UsageError(
            "the detector is not restarted this way", hint="`fraudctl detect --detach --takeover`"
        )
    request = UpRequest(session.settings(), session.paths, dict(os.environ))
    name = cast(ServiceName, str(service)) if service else None
    with graceful() as stop, ProgressView() as progress:
        report = operation(RestartRequest(request, name), stop=stop, observe=progress.show)
    console.write(to_json.dumps(report) if as_json else text.report(report))
