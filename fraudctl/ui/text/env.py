"""Variables as a shell reads them."""

import shlex

from fraudctl.operations.lifecycle.env import EnvReport


def exports(result: EnvReport) -> str:
    """Return `export NAME=value` a line, quoted where a shell needs it, after a line of `unset`."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in result.variables.items()]
    return "\n".join([f"unset {' '.join(result.unset)}", *lines] if result.unset else lines)
