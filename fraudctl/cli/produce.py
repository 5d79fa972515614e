"""fraudctl produce: a steady stream of simulated transactions."""

from dataclasses import replace
from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.durations import parse_duration
from fraudctl.cli.signals import graceful
from fraudctl.errors import ExitCode
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console, failure


@command("produce", example="fraudctl produce --rate 500 --duration 60s")
def produce(
    session: Session,
    rate: Annotated[float, typer.Option("--rate", help="Events per second.")] = 100.0,
    count: Annotated[int | None, typer.Option("--count", help="Stop after this many events.")] = None,
    duration: Annotated[
        float | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="Stop after this long (60, 60s, 5m, 1h)."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Repeat the events of an earlier run.")] = None,
    as_json: Json = False,
) -> int:
    """Send realistic transactions, and account for each.

    Goes on until Ctrl-C, --count or --duration.
    """
    from fraudctl.operations import produce as operation
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import produce as text

    settings = session.settings()
    request = operation.ProduceRequest(settings, "", rate, count, duration, seed)
    operation.refuse_nonsense(request)
    where = endpoints(settings, session.paths, need=("kafka",))
    request = replace(request, bootstrap_servers=where.bootstrap_servers)
    with graceful() as stop, text.ProduceView() as view:
        result = operation.produce(request, stop=stop, observe=view.show)
    console.write(to_json.dumps(result) if as_json else text.summary(result))
    if result.failed:
        failure.show(text.not_delivered(result))
    return ExitCode.DATA if result.failed else ExitCode.DONE
