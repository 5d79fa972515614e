"""Hints that can be typed as they are: for the profile in use, with the options that chose the stack."""

import re
import shlex
from collections.abc import Sequence

from fraudctl.errors import ELSEWHERE

COMMAND = re.compile(r"`fraudctl (?P<line>[^`]+)`")


def fit(hint: str, *, external: bool, options: Sequence[tuple[str, str]]) -> str:
    """Return a hint that is right for this invocation.

    Args:
        hint: the hint, with its commands in backticks.
        external: the services run elsewhere, so `up`, `down` and `logs kafka` are of no use.
        options: name and value of the shared options that were given on the command line.
    """
    if external:
        for own, elsewhere in ELSEWHERE.items():
            hint = hint.replace(own, elsewhere)
    return COMMAND.sub(lambda found: f"`fraudctl {_with_options(found['line'], options)}`", hint)


def _with_options(line: str, options: Sequence[tuple[str, str]]) -> str:
    """Add the options that the line does not have, before the `--` of `fraudctl exec`."""
    if "--help" in line:
        return line
    words = line.split()
    repeated = [f"{name} {shlex.quote(value)}" for name, value in options if name not in words]
    before, separator, after = line.partition(" -- ")
    return " ".join([before, *repeated]) + separator + after
