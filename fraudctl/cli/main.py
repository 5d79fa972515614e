"""The program; importing the modules of the commands registers them."""

from typing import Annotated

import typer

from fraudctl import __version__
from fraudctl.cli import (  # noqa: F401 - registers its commands
    alerts,
    config,
    deadletters,
    demo,
    detect,
    doctor,
    down,
    drill,
    env,
    evaluate,
    execute,
    logs,
    migrate,
    produce,
    replay,
    restart,
    rules,
    simulate,
    status,
    train,
    up,
    verify,
)
from fraudctl.cli.command import app, guarded


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fraudctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the program, as the entry point of the console script."""
    guarded(app)
