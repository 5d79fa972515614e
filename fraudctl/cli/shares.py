"""Shares as people type them: 1%, 0.5 %."""

import re

import typer

_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(%?)", re.ASCII)


def parse_share(text: str) -> float:
    """Return a share, 0 to 1, of a percentage with its sign.

    Raises:
        typer.BadParameter: it is no percentage, or has no sign: 0.5 may be a half or half a percent.
    """
    found = _SHARE.fullmatch(text.strip())
    if found is None or not found[2] or float(found[1]) > 100:
        hint = f"; write {found[1]}%" if found and not found[2] else ""
        raise typer.BadParameter(f"{text!r} is not a percentage from 0% to 100%, such as 1%{hint}")
    return float(found[1]) / 100
