"""fraudctl drill: inject faults under load, and prove that they did no harm."""

import os
from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.signals import graceful
from fraudctl.config.paths import stack_paths
from fraudctl.errors import ExitCode
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console
from fraudctl.ui.text.progress import ProgressView

DRILL_STACK = "drill"


@command("drill", example="fraudctl drill --cycles 10 --faults kill,pause,postgres,kafka")
def drill(
    session: Session,
    cycles: Annotated[int, typer.Option("--cycles", help="How many faults.")] = 5,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Of the faults and the load; else drawn.")
    ] = None,
    faults: Annotated[
        str, typer.Option("--faults", metavar="A,B", help="Of kill, pause, postgres, kafka.")
    ] = "kill",
    rate: Annotated[float, typer.Option("--rate", help="Events per second, all the while.")] = 300.0,
    at: Annotated[
        str | None, typer.Option("--at", metavar="NAME[,NAME]", help="Only at these failpoints.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running afterwards.")] = False,
    as_json: Json = False,
) -> int:
    """Inject faults under load, again and again, and verify.

    It uses a stack of its own. Ctrl-C ends it after the current cycle, and verifies what was done.
    """
    from fraudctl.config.rules_file import read_configured_rules
    from fraudctl.operations.drill import drill as operation
    from fraudctl.operations.drill import plan
    from fraudctl.ui.text import drill as text

    kinds = plan.faults_named(faults)
    places = plan.places_named(at, kinds) if at is not None else ()
    settings = session.load({"profile": session.profile}, profile="drill").settings
    paths = session.paths
    if paths.stack == "default":
        paths = stack_paths(paths.home, DRILL_STACK)
    rules = read_configured_rules(settings)
    request = operation.DrillRequest(
        settings, paths, rules, dict(os.environ), cycles, kinds, places, rate, seed, keep
    )
    with graceful() as stop, ProgressView() as progress, text.DrillView() as view:
        views = operation.Views(progress.show, view.planned, view.now, view.cycle)
        result = operation.drill(request, stop=stop, views=views)
    if as_json:
        console.write(to_json.dumps(result))
    else:
        console.data().print(text.summary(result))
    console.say(text.next_steps(result, paths))
    return ExitCode.DONE if result.passed else ExitCode.ANSWER_IS_NO
