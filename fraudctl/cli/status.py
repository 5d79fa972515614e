"""fraudctl status: show the state of the stack."""

import os

from fraudctl.cli.command import Json, Session, command
from fraudctl.errors import ExitCode
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console


@command("status", example="fraudctl status --json")
def status(session: Session, as_json: Json = False) -> int:
    """Show state and address of every service.

    Asks broker, database, topic and schema. Exit 0 if all is well, 1 if not. The detector is shown, but need
    not run for all to be well.
    """
    from fraudctl.operations.lifecycle.status import StatusRequest
    from fraudctl.operations.lifecycle.status import status as operation
    from fraudctl.ui.text import status as text

    report = operation(StatusRequest(session.settings(), session.paths, dict(os.environ)))
    console.write(to_json.dumps(report) if as_json else text.report(report))
    return ExitCode.DONE if report.healthy else ExitCode.ANSWER_IS_NO
