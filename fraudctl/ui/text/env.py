"""Variables as a shell reads them."""

import shlex

from fraudctl.operations.env import EnvReport


def exports(result: EnvReport) -> str:
    """`export NAME=value` a line, quoted where a shell needs it."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in result.variables.items())
