"""fraudctl doctor: check whether a detector may start."""

import os
from dataclasses import replace
from typing import Annotated

import typer

from fraudctl import failpoints
from fraudctl.cli.command import Json, Session, command
from fraudctl.errors import ExitCode
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console


@command("doctor", example="fraudctl doctor")
def doctor(
    session: Session,
    list_failpoints: Annotated[
        bool, typer.Option("--failpoints", help="List the places at which a detector can be made to die.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Run every check of `detect`, and start nothing.

    Exit 0 if a detector may start, or runs already; 1 if one check fails. Each failure says what differs and
    what to do.
    """
    from fraudctl.ui.text import doctor as text

    if list_failpoints:
        known = failpoints.FAILPOINTS
        console.write(to_json.dumps(known) if as_json else text.failpoints(known, failpoints.VARIABLE))
        return ExitCode.DONE
    from fraudctl.config.rules_file import read_configured_rules
    from fraudctl.operations.detect import doctor as operation

    settings = session.settings()
    rules = read_configured_rules(settings)
    report = operation.doctor(operation.DoctorRequest(settings, session.paths, rules, dict(os.environ)))
    findings = tuple(replace(finding, hint=session.hint(finding.hint)) for finding in report.findings)
    report = replace(report, findings=findings)
    console.write(to_json.dumps(report) if as_json else text.report(report))
    return ExitCode.DONE if report.healthy else ExitCode.ANSWER_IS_NO
