"""fraudctl config: print the active settings and their origins."""

from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, app, command
from fraudctl.cli.panels import PanelGroup, panel_of
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console

group = typer.Typer(no_args_is_help=True, help="Look at the settings in force.")
app.add_typer(group, name="config", cls=PanelGroup, rich_help_panel=panel_of("config"))


@command("show", example="fraudctl config show --origin", group=group)
def show(
    session: Session,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value came from.")] = False,
    as_json: Json = False,
) -> None:
    """Print every setting with its value."""
    from fraudctl.operations.lifecycle.show_config import show_config
    from fraudctl.ui.text import config as text

    result = show_config(session.load())
    console.write(
        to_json.dumps(result.tree(with_origin=origin)) if as_json else text.settings(result, origin)
    )
