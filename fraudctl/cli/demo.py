"""fraudctl demo: run the whole pipeline once, with a picture."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.signals import graceful
from fraudctl.config.paths import stack_paths
from fraudctl.errors import ExitCode, UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console
from fraudctl.ui.text.progress import ProgressView

DEMO_STACK = "demo"


@command("demo", example="fraudctl demo --keep")
def demo(
    session: Session,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of the traffic; drawn if not given.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running afterwards.")] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.svg", help="Save the summary as an image.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Run the whole pipeline once, with a picture.

    It uses a stack of its own: a simulated day in a minute, verified.
    """
    from fraudctl.config.rules_file import read_configured_rules
    from fraudctl.operations import demo as operation
    from fraudctl.ui.text import demo as text

    _refuse_no_picture(picture)
    settings = session.load({"profile": session.profile}, profile="demo").settings
    paths = session.paths
    if paths.stack == "default":
        paths = stack_paths(paths.home, DEMO_STACK)
    rules = read_configured_rules(settings)
    request = operation.DemoRequest(settings, paths, rules, dict(os.environ), seed=seed, keep=keep)
    categories, length = settings.events.categories, settings.windows.length_minutes
    with graceful() as stop, ProgressView() as progress, text.DemoView(categories, length) as view:
        views = operation.Views(step=progress.show, batch=view.batch, windows=view.windows)
        result = operation.demo(request, stop=stop, views=views)
    rendered = text.summary(result, categories, length)
    if picture:
        text.save_picture(rendered, picture)
    if as_json:
        console.write(to_json.dumps(result))
    else:
        console.data().print(rendered)
        console.say(text.next_steps(result, paths.stack))
    return ExitCode.DONE if result.passed else ExitCode.ANSWER_IS_NO


def _refuse_no_picture(file: Path | None) -> None:
    """Check, before anything runs, that the picture can be saved at the end."""
    if file is None:
        return
    if file.suffix.lower() != ".svg":
        raise UsageError(
            f"the picture is an SVG image, and {file} is named as something else",
            hint="let the name end in .svg",
        )
    if not file.expanduser().absolute().parent.is_dir():
        raise UsageError(f"there is no folder for {file}", hint="make it first, or choose another place")
