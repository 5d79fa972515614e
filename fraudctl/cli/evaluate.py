"""fraudctl evaluate: compare alerts and scores with labels."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from fraudctl.cli.command import AllowRejected, Json, Session, command
from fraudctl.cli.durations import parse_duration
from fraudctl.cli.instants import parse_instant
from fraudctl.errors import ExitCode, UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console, failure


@command("evaluate", example="fraudctl evaluate --all-labels")
def evaluate(
    session: Session,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of", parser=parse_instant, metavar="TIME", help="What was known then; now if not given."
        ),
    ] = None,
    all_labels: Annotated[
        bool, typer.Option("--all-labels", help="Take every label as known, whenever it was reported.")
    ] = False,
    label_delay: Annotated[
        float | None,
        typer.Option(
            "--label-delay",
            parser=parse_duration,
            metavar="TIME",
            help="How late a label may come, such as 7d; as the slowest known one.",
        ),
    ] = None,
    events: Annotated[
        Path | None, typer.Option("--events", metavar="FILE", help="Events of `simulate`.")
    ] = None,
    labels: Annotated[Path | None, typer.Option("--labels", metavar="FILE", help="Their labels.")] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE", help="With --events: rules to judge them by.")
    ] = None,
    store: Annotated[bool, typer.Option("--store", help="Keep it in the database, for dashboards.")] = False,
    allow_rejected: AllowRejected = None,
    as_json: Json = False,
) -> int:
    """Compare alerts and scores with labels, and with a baseline.

    The baseline is the rule "amount > x" with as many alerts. A label counts from when it was reported, and a
    transaction once its label could have come. Without --events the log is read as the ledger says, and each
    transaction is evaluated by the rules that evaluated it live.

    Exit 6: more lines of a file were left out than --allow-rejected allows; nothing is stored then.
    """
    from fraudctl.clock import utc_now
    from fraudctl.operations.evaluate import evaluate as operation
    from fraudctl.operations.inputs.event_files import ALLOWED_REJECTED, too_many_left_out
    from fraudctl.operations.rules.apply import rules_to_try
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import evaluate as text

    if (events is None) != (labels is None) or (rules and not events):
        raise UsageError(
            "rules, events and labels in files go together",
            hint="--events FILE --labels FILE [--rules FILE]; the log is judged by the rules that judged it",
        )
    if allow_rejected is not None and not events:
        raise UsageError("--allow-rejected is for files", hint="add --events and --labels, or leave it out")
    if label_delay is not None and as_of is None and (all_labels or events):
        raise UsageError(
            "--label-delay changes nothing where every label is taken as known",
            hint="add --as-of TIME, or leave it out",
        )
    if as_of and all_labels:
        raise UsageError("--as-of and --all-labels contradict each other", hint="leave one away")
    settings = session.settings()
    files = (events, labels) if events and labels else None
    places = endpoints(settings, session.paths) if store or not files else None
    checked = rules_to_try(settings, session.paths, rules) if files else None
    for warning in checked.warnings if checked else ():
        console.say(f"warning: {warning}")
    everything = all_labels or (files is not None and as_of is None)
    result = operation.evaluate(
        operation.EvaluateRequest(
            settings,
            places,
            files,
            checked.rules if checked else None,
            None if everything else as_of or utc_now(),
            label_delay,
        )
    )
    allowed = ALLOWED_REJECTED if allow_rejected is None else allow_rejected
    error = too_many_left_out(allowed, *result.files)
    if store and places and error is None:
        operation.store_evaluation(settings, places, result)
    console.write(to_json.dumps(result) if as_json else text.evaluation(result))
    if error is not None:
        failure.show(error)
        return error.exit_code
    return ExitCode.DONE
