"""Environment variables in the syntax of a shell."""

import shlex

from fraudctl.operations.lifecycle.env import EnvReport


def exports(result: EnvReport) -> str:
    """Return a line `export NAME=value` for each variable, quoted for the shell, after a line of `unset`."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in result.variables.items()]
    return "\n".join([f"unset {' '.join(result.unset)}", *lines] if result.unset else lines)
