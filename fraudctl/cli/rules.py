"""fraudctl rules: look at rules, check them, try them."""

from pathlib import Path
from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, app, command
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console

group = typer.Typer(no_args_is_help=True, help="Look at rules, check them, try them on recorded events.")
app.add_typer(group, name="rules")

RulesFile = Annotated[Path, typer.Argument(metavar="FILE", help="A rules file, such as configs/rules.yaml.")]


@command("list", example="fraudctl rules list", group=group)
def list_rules(session: Session, as_json: Json = False) -> None:
    """List the rules that `rules.file` names, in the order in which they are written."""
    from fraudctl.config.rules_file import read_rules_document
    from fraudctl.rules.model import parse_rules
    from fraudctl.ui.text import rules as text

    rules = parse_rules(read_rules_document(session.settings().rules.file))
    console.write(to_json.dumps(text.as_data(rules)) if as_json else text.listed(rules))


@command("check", example="fraudctl rules check my-rules.yaml", group=group)
def check(session: Session, file: RulesFile, as_json: Json = False) -> None:
    """Say whether a rules file is valid; every mistake is named with its line.

    Exit 0: it is. Exit 3: it is not.
    """
    from fraudctl.config.rules_file import read_rules_document
    from fraudctl.operations.try_rules import checked
    from fraudctl.ui.text import rules as text

    rules = checked(session.settings(), read_rules_document(str(file)))
    console.write(to_json.dumps(text.as_data(rules)) if as_json else text.valid(str(file), rules))


@command("test", example="fraudctl rules test my-rules.yaml --events events.jsonl", group=group)
def test(
    session: Session,
    file: RulesFile,
    events: Annotated[
        Path | None,
        typer.Option("--events", metavar="FILE", help="Events that `simulate` wrote, instead of the topic."),
    ] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, help="How many to show of each rule.")] = 3,
    as_json: Json = False,
) -> None:
    """Try a rules file on recorded events: what each rule would flag. Nothing is changed."""
    from fraudctl.config.rules_file import read_rules_document
    from fraudctl.operations.try_rules import TryRequest, try_rules
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import rules as text

    settings = session.settings()
    log = None if events else endpoints(settings, session.paths)
    result = try_rules(TryRequest(settings, read_rules_document(str(file)), log, events, examples))
    console.write(to_json.dumps(result) if as_json else text.trial(result))
