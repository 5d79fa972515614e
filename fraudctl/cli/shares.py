"""Shares as people type them: 1%, 0.5 %, 0.01."""

import re

import typer

_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(%)?", re.ASCII)


def parse_share(text: str) -> float:
    """Return a share, 0 to 1.

    Raises:
        typer.BadParameter: the text is no such share, or may be meant with or without a percent sign.
    """
    found = _SHARE.fullmatch(text.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= share <= 1 or (found and not found[2] and share == 1):
        hint = f"; write {found[1]}%" if found and not found[2] and float(found[1]) <= 100 else ""
        raise typer.BadParameter(f"{text!r} is not a share from 0% to 100%, such as 1% or 0.01{hint}")
    return share
