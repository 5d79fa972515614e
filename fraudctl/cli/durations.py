"""Time spans as people type them: 90, 90s, 1.5m, 1h, 30d."""

import math
import re

import typer

_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def parse_duration(text: str) -> float:
    """Return a time span in seconds, more than zero; a number without a unit is seconds.

    Raises:
        typer.BadParameter: the text is not such a span.
    """
    found = _SPAN.fullmatch(text.strip())
    seconds = float(found[1]) * _SECONDS[found[2] or "s"] if found else 0.0
    if not 0 < seconds < math.inf:
        raise typer.BadParameter(f"{text!r} is not a time span above zero, such as 90, 90s, 5m, 1h or 30d")
    return seconds
