"""fraudctl detect: run the streaming detector."""

import os
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.durations import parse_duration
from fraudctl.cli.signals import graceful
from fraudctl.errors import UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console
from fraudctl.ui.text.progress import ProgressView

if TYPE_CHECKING:
    from fraudctl.operations.detect.supervise import DetectRequest

Duration = Annotated[
    float | None, typer.Option(parser=parse_duration, metavar="TIME", help="Stop after this long (90s, 5m).")
]


@command("detect", example="fraudctl detect --duration 90s")
def detect(
    session: Session,
    duration: Duration = None,
    until_caught_up: Annotated[
        bool,
        typer.Option(
            "--until-caught-up",
            help="Stop once every record of the topic is landed, also what is sent meanwhile.",
        ),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")] = False,
    stop_it: Annotated[bool, typer.Option("--stop", help="Stop a detached detector cleanly.")] = False,
    takeover: Annotated[
        bool, typer.Option("--takeover", help="Fence off the detector that runs now; it ends with exit 7.")
    ] = False,
    new_generation: Annotated[
        bool,
        typer.Option("--new-generation", help="First set all that has landed aside, and begin anew."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the spark-submit line only.")] = False,
    as_json: Json = False,
) -> None:
    """Run the streaming detector on Spark.

    Its micro-batches are shown; Ctrl-C finishes the running one and stops.
    """
    from fraudctl.config.rules_file import read_configured_rules
    from fraudctl.operations.detect import supervise as operation

    others = {
        "--detach": detach,
        "--takeover": takeover,
        "--new-generation": new_generation,
        "--until-caught-up": until_caught_up,
        "--duration": duration is not None,
        "--dry-run": dry_run,
    }
    _refuse_conflicts([name for name, given in others.items() if given], stop_it)
    settings = session.settings()
    if stop_it:
        _stop(session, settings.spark.stop_grace_seconds, as_json)
        return
    request = operation.DetectRequest(
        settings=settings,
        paths=session.paths,
        rules_document=read_configured_rules(settings),
        environ=dict(os.environ),
        run_seconds=duration,
        until_caught_up=until_caught_up,
        takeover=takeover,
    )
    if new_generation:
        _new_generation(request)
    way = _dry_run if dry_run else _detach if detach else _follow
    way(request, as_json)


def _refuse_conflicts(given: list[str], stop_it: bool) -> None:
    if stop_it and given:
        raise UsageError(
            f"--stop ends the detector that runs, and cannot be combined with {', '.join(given)}",
            hint="give --stop alone, then start again",
        )
    if "--detach" in given and "--until-caught-up" in given:
        raise UsageError("--until-caught-up needs somebody to watch", hint="leave --detach away")
    if "--new-generation" in given and (
        clash := [one for one in ("--takeover", "--dry-run") if one in given]
    ):
        raise UsageError(
            f"--new-generation cannot be combined with {' and '.join(clash)}: it changes a database that no "
            "detector may work in",
            hint="give --new-generation alone; a detector that runs is stopped by `fraudctl detect --stop`",
        )
    if "--dry-run" in given and "--detach" in given:
        raise UsageError("--dry-run starts nothing, so there is nothing to detach", hint="give one of them")


def _stop(session: Session, grace_seconds: float, as_json: bool) -> None:
    from fraudctl.operations.detect.supervise import stop_detached

    was = stop_detached(session.paths, grace_seconds)
    if as_json:
        console.write(to_json.dumps({"stopped": was}))
    else:
        console.say("the detector has stopped" if was else "no detector is running")


def _new_generation(request: "DetectRequest") -> None:
    from fraudctl.operations.detect.new_generation import new_generation

    with graceful() as stop, ProgressView() as progress:
        new_generation(request.settings, request.paths, stop=stop, observe=progress.show)


def _dry_run(request: "DetectRequest", as_json: bool) -> None:
    from fraudctl.operations.detect.supervise import prepare
    from fraudctl.ui.text import detect as text

    with graceful() as stop, ProgressView() as progress:
        plan = prepare(request, stop=stop, observe=progress.show)
    console.write(to_json.dumps(text.plan_document(plan)) if as_json else shlex.join(plan.place.submit.argv))


def _detach(request: "DetectRequest", as_json: bool) -> None:
    from fraudctl.operations.detect.supervise import detach

    with graceful() as stop, ProgressView() as progress:
        result = detach(request, stop=stop, observe=progress.show)
    if as_json:
        console.write(to_json.dumps(result))
    console.say(f"the detector runs (query {result.query_id}); `fraudctl logs detector -f` follows it")


def _follow(request: "DetectRequest", as_json: bool) -> None:
    from fraudctl.operations.detect.supervise import detect as follow
    from fraudctl.ui.text import detect as text

    with graceful(text.STOPPED_AT_ONCE) as stop, ProgressView() as progress, text.BatchView() as view:
        result = follow(request, stop=stop, observe=progress.show, on_batch=view.show)
    console.write(to_json.dumps(result) if as_json else text.summary(result))
