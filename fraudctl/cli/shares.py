"""Shares as people type them: 1%, 0.5 %."""

import re

import typer

_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(%?)", re.ASCII)


def parse_share(text: str) -> float:
    """Return a percentage as a share from 0 to 1; 5 and 5% are the same.

    Raises:
        typer.BadParameter: it is not a percentage, or unclear: 0.5 could be half of all or half a percent.
    """
    found = _SHARE.fullmatch(text.strip())
    unclear = found is not None and not found[2] and 0 < float(found[1]) < 1
    if found is None or unclear or float(found[1]) > 100:
        hint = f"; write {found[1]}%" if found and unclear else ""
        raise typer.BadParameter(f"{text!r} is not a percentage from 0% to 100%, such as 1%{hint}")
    return float(found[1]) / 100
