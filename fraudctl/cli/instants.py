"""Times as people type them: RFC 3339, always with a zone."""

from datetime import UTC, datetime

import typer


def parse_instant(text: str) -> datetime:
    """Return a date and time in UTC.

    Raises:
        typer.BadParameter: the text is not a date and time, or it does not name its zone.
    """
    try:
        instant = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        instant = None
    if instant is None or "T" not in text.upper():
        raise typer.BadParameter(f"{text!r} is not a date and time such as 2026-03-10T12:00:00Z")
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text!r} does not say its zone; end it with Z for UTC, or with +01:00")
    return instant.astimezone(UTC)
