"""fraudctl verify-idempotency: prove the stored rows by a recount of the log."""

from typing import Annotated

import typer

from fraudctl.cli.command import Json, Session, command
from fraudctl.cli.signals import ends_on_sigterm
from fraudctl.errors import ExitCode
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console


@command("verify-idempotency", example="fraudctl verify-idempotency --json")
def verify_idempotency(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many differences to show.")] = 20,
    from_ledger: Annotated[
        bool,
        typer.Option(
            "--from-ledger",
            help="Read only what the ledger has beyond the last such run that agreed.",
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Recount the log and compare every stored row.

    Exit 0: every row agrees. Exit 1: differences, each named. Exit 3: no comparison is possible any more.
    """
    from fraudctl.operations.verify import verify as operation
    from fraudctl.runtime.files import make_folder
    from fraudctl.runtime.stack import endpoints
    from fraudctl.ui.text import verify as text

    settings = session.settings()
    # A machine that runs nothing of the pipeline gets no folder, unless it has to keep something.
    own = from_ledger or session.paths.root.exists()
    folder = make_folder(session.paths.run / "recount") if own else None
    request = operation.VerifyRequest(endpoints(settings, session.paths), settings, folder, from_ledger)
    with ends_on_sigterm(), text.progress() as observe:
        result = operation.verify(request, observe)
    console.write(to_json.dumps(result) if as_json else text.verification(result, limit))
    return ExitCode.DONE if result.verdict == "ok" else ExitCode.ANSWER_IS_NO
