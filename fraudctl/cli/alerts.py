"""fraudctl alerts: list the alerts that the rules have raised."""

from typing import TYPE_CHECKING, Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.durations import parse_duration
from fraudctl.cli.signals import graceful
from fraudctl.errors import ExitCode
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console

if TYPE_CHECKING:
    from fraudctl.operations.alerts import AlertsRequest


@command("alerts", example="fraudctl alerts --since 1h --rule high-amount")
def alerts(
    session: Session,
    since: Annotated[
        float | None,
        typer.Option(
            "--since", parser=parse_duration, metavar="TIME", help="Only what has landed since (90s, 1h, 7d)."
        ),
    ] = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Only what this rule matched.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many alerts to show.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show alerts as they land.")] = False,
    as_json: Json = False,
) -> int:
    """List alerts, newest first, and their delays (p50 and p99).

    The delay of an alert is the time from arrival until its batch is committed. With --follow each alert is
    one line, or one line of JSON, until Ctrl-C.
    """
    from fraudctl.operations import alerts as operation
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import alerts as text

    settings = session.settings()
    postgres = endpoints(settings, session.paths, need=("postgres",)).postgres
    request = operation.AlertsRequest(settings, postgres, since, rule, limit)
    if follow:
        return _follow(request, as_json)
    result = operation.list_alerts(request)
    console.write(to_json.dumps(result) if as_json else text.listed(result))
    if result.note:
        _tell(result.note)
    return ExitCode.DONE


def _tell(note: str) -> None:
    console.say(f"note: {note}")


def _follow(request: "AlertsRequest", as_json: bool) -> int:
    from fraudctl.operations.alerts import follow_alerts
    from fraudctl.ui.text import alerts as text

    with graceful() as stop:
        follow_alerts(
            request,
            stop=stop,
            tell=_tell,
            show=lambda alert, reasons: console.write(
                text.json_line(alert, reasons) if as_json else text.line(alert, reasons)
            ),
        )
    return ExitCode.DONE
