"""fraudctl env: print the variables with which other programs connect."""

from fraudctl.cli.command import Json, Session, command
from fraudctl.ui import as_json as to_json
from fraudctl.ui import console


@command("env", example='eval "$(fraudctl env)"; psql -c "select 1"')
def env(session: Session, as_json: Json = False) -> None:
    """Print export lines for psql, kcat and notebooks.

    The password is not printed: PGPASSFILE names a file that only you can read, and libpq looks there.
    """
    from fraudctl.operations.lifecycle.env import EnvRequest
    from fraudctl.operations.lifecycle.env import env as operation
    from fraudctl.ui.text import env as text

    report = operation(EnvRequest(session.settings(), session.paths))
    console.write(to_json.dumps(report.variables) if as_json else text.exports(report))
