"""fraudctl rules: list rules, check them, try them, and make them active."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fraudctl.cli.command import AllowRejected, Json, Session, app, command
from fraudctl.cli.panels import PanelGroup, panel_of
from fraudctl.errors import ExitCode, UsageError
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console, failure

group = typer.Typer(
    no_args_is_help=True, help="Look at rules, check them, try them on recorded events, put them in force."
)
app.add_typer(group, name="rules", cls=PanelGroup, rich_help_panel=panel_of("rules"))

RulesFile = Annotated[Path, typer.Argument(metavar="FILE", help="A rules file, such as configs/rules.yaml.")]


@command("list", example="fraudctl rules list", group=group)
def list_rules(session: Session, as_json: Json = False) -> None:
    """List the active rules.

    If the stack does not run, these are the rules that it would begin with.
    """
    from fraudctl.operations.rules.apply import rules_to_list
    from fraudctl.ui.text import rules as text

    found = rules_to_list(session.settings(), session.paths)
    console.write(to_json.dumps(text.in_force_data(found)) if as_json else text.in_force(found))


@command("check", example="fraudctl rules check my-rules.yaml", group=group)
def check(session: Session, file: RulesFile, as_json: Json = False) -> None:
    """Check that a rules file is valid and that its rules can match.

    Every mistake is named with its line. A condition that every event meets is reported as a warning.

    Exit 0: it is valid. Exit 3: it is not.
    """
    from fraudctl.config.rules_file import read_rules_document
    from fraudctl.operations.rules.check import checked_rules
    from fraudctl.ui.text import rules as text

    checked = checked_rules(session.settings(), read_rules_document(str(file)))
    _warn(checked.warnings)
    data = text.as_data(checked.rules) | {"warnings": checked.warnings}
    console.write(to_json.dumps(data) if as_json else text.valid(str(file), checked.rules))


@command("test", example="fraudctl rules test my-rules.yaml --events events.jsonl", group=group)
def test(
    session: Session,
    file: RulesFile,
    events: Annotated[
        Path | None,
        typer.Option("--events", metavar="FILE", help="Events that `simulate` wrote, instead of the topic."),
    ] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, help="How many to show of each rule.")] = 3,
    allow_rejected: AllowRejected = None,
    as_json: Json = False,
) -> int:
    """Try a rules file on recorded events, and change nothing.

    Prints what each rule would flag.

    Exit 6: more lines of the file of events were left out than --allow-rejected allows.
    """
    from fraudctl.config.rules_file import read_rules_document
    from fraudctl.operations.inputs.event_files import ALLOWED_REJECTED, too_many_left_out
    from fraudctl.operations.rules.dry_run import TryRequest, try_rules
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import rules as text

    if allow_rejected is not None and events is None:
        raise UsageError(
            "--allow-rejected is for a file of events", hint="add --events FILE, or leave it out"
        )
    settings = session.settings()
    log = None if events else endpoints(settings, session.paths)
    result = try_rules(TryRequest(settings, read_rules_document(str(file)), log, events, examples))
    _warn(result.warnings)
    console.write(to_json.dumps(result) if as_json else text.trial(result))
    allowed = ALLOWED_REJECTED if allow_rejected is None else allow_rejected
    error = too_many_left_out(allowed, *([result.file] if result.file else []))
    if error is not None:
        failure.show(error)
        return error.exit_code
    return ExitCode.DONE


@command("apply", example="fraudctl rules apply my-rules.yaml", group=group)
def apply(session: Session, file: RulesFile, as_json: Json = False) -> None:
    """Make the rules of a file the active ones.

    A running detector uses them from its next batch on, without a restart. An invalid file is refused (exit
    3), and the active rules stay.
    """
    from fraudctl.config.rules_file import read_rules_document
    from fraudctl.operations.rules.apply import apply_rules
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import rules as text

    settings = session.settings()
    document = read_rules_document(str(file))
    postgres = endpoints(settings, session.paths, need=("postgres",)).postgres
    result = apply_rules(settings, postgres, document)
    _warn(result.warnings)
    console.write(to_json.dumps(result) if as_json else text.applied(result))


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        console.say(f"warning: {warning}")
