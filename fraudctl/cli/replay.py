"""fraudctl replay: run the detector over what it has read before, and compare."""

from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.signals import graceful
from fraudctl.errors import ExitCode, UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console
from fraudctl.ui.text.progress import ProgressView


@command("replay", example="fraudctl replay --last-batches 3")
def replay(
    session: Session,
    last_batches: Annotated[
        int | None,
        typer.Option("--last-batches", min=1, metavar="K", help="Make Spark run the last K batches again."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Run the detector again over what it has read, and compare with what has landed.

    --last-batches: against the live tables; every row must stay as it is. Exit 0 if so, 1 if not.
    """
    import os

    from fraudctl.config.rules_file import read_rules_document
    from fraudctl.operations.replay import ReplayRequest, Views
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import detect as batches
    from fraudctl.ui.text import replay as text

    if last_batches is None:
        raise UsageError("what is to be replayed?", hint="--last-batches K")
    settings = session.settings()
    request = ReplayRequest(
        settings,
        session.paths,
        endpoints(settings, session.paths),
        read_rules_document(settings.rules.file),
        dict(os.environ),
    )
    from fraudctl.operations.replay_last import replay_last

    with graceful() as stop, ProgressView() as progress, batches.BatchView() as view:
        result = replay_last(request, last_batches, stop=stop, views=Views(progress.show, view.show))
    console.write(to_json.dumps(result) if as_json else text.last_batches(result))
    return ExitCode.DONE if result.unchanged else ExitCode.ANSWER_IS_NO
