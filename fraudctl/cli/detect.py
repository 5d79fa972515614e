"""fraudctl detect: run the streaming detector."""

import os
import shlex
from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.durations import parse_duration
from fraudctl.cli.signals import graceful
from fraudctl.errors import UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console
from fraudctl.ui.text.progress import ProgressView

Duration = Annotated[
    float | None, typer.Option(parser=parse_duration, metavar="TIME", help="Stop after this long (90s, 5m).")
]


@command("detect", example="fraudctl detect --duration 90s")
def detect(
    session: Session,
    duration: Duration = None,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Stop once every record of the topic is landed.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")] = False,
    stop_it: Annotated[bool, typer.Option("--stop", help="Stop a detached detector cleanly.")] = False,
    takeover: Annotated[
        bool, typer.Option("--takeover", help="Fence off the detector that runs now; it ends with exit 7.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the spark-submit line only.")] = False,
    as_json: Json = False,
) -> None:
    """Run the streaming detector on Spark.

    Follows its micro-batches; Ctrl-C finishes the running one and stops.
    """
    from fraudctl.config.rules_file import read_rules_document
    from fraudctl.operations import detect as operation
    from fraudctl.ui.text import detect as text

    settings = session.settings()
    if stop_it:
        was = operation.stop_detached(session.paths, settings.spark.stop_grace_seconds)
        console.say("the detector has stopped" if was else "no detector is running")
        return
    if detach and until_caught_up:
        raise UsageError("--until-caught-up needs somebody to watch", hint="leave --detach away")
    request = operation.DetectRequest(
        settings=settings,
        paths=session.paths,
        rules_document=read_rules_document(settings.rules.file),
        environ=dict(os.environ),
        run_seconds=duration,
        until_caught_up=until_caught_up,
        takeover=takeover,
    )
    with graceful() as stop, ProgressView() as progress:
        if dry_run:
            plan = operation.prepare(request, stop=stop, observe=progress.show)
            console.write(shlex.join(plan.submit.argv))
            return
        if detach:
            result = operation.detach(request, stop=stop, observe=progress.show)
            console.say(
                f"the detector runs (query {result.query_id}); `fraudctl logs detector -f` follows it"
            )
            return
        with text.BatchView() as view:
            result = operation.detect(request, stop=stop, observe=progress.show, on_batch=view.show)
    console.write(to_json.dumps(result) if as_json else text.summary(result))
