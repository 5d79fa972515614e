"""Variables in compose.yaml: ${NAME}, ${NAME:-default}, ${NAME-default}, and $$ for a plain dollar sign."""

import re
from collections.abc import Mapping

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:?-)(?P<default>[^{}$]*))?\}|(?P<other>))"
)


class InterpolationError(ValueError):
    """A dollar sign that begins nothing known, or a variable without value and default."""


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Return the text with every variable replaced, as Docker Compose does it.

    Raises:
        InterpolationError: a variable has neither value nor default, or a dollar sign begins nothing known.
    """

    def value(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        name = found["name"]
        if name is None:
            raise InterpolationError("a dollar sign must be doubled, or begin ${NAME} or ${NAME:-default}")
        given = variables.get(name)
        if found["how"] == ":-":
            return given or found["default"]
        if given is None and found["how"] is None:
            raise InterpolationError(f"the variable {name} has no value")
        return found["default"] if given is None else given

    return _VARIABLE.sub(value, text)
