"""The panels in which `fraudctl --help` groups its commands."""

from typing import Any

import typer
from typer.core import TyperGroup

# Both orders count: that of the panels, and that of the commands in each.
PANELS: dict[str, tuple[str, ...]] = {
    "Run": ("up", "produce", "detect", "demo", "down"),
    "Look": ("status", "logs", "doctor", "config"),
    "Prove": ("verify-idempotency", "replay", "drill"),
    "Rules and alerts": ("rules", "alerts", "evaluate", "train"),
    "Data": ("simulate", "deadletters"),
    "Operate": ("restart", "migrate", "exec", "env"),
}
_ORDER = [name for names in PANELS.values() for name in names]


def panel_of(name: str) -> str | None:
    """Return the panel of a top-level command or group; None if it has none."""
    return next((panel for panel, names in PANELS.items() if name in names), None)


class PanelGroup(TyperGroup):
    """A group whose help shows panels of commands, each with its whole first line.

    Typer itself draws panels only with rich's Markdown parser, which takes a third of the time of `--help`,
    and its plain help cuts first lines short.
    """

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names of the commands, in the order of the panels."""
        return sorted(self.commands, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write one section a panel; a command without a panel stands under "Commands"."""
        shown = {name: found for name in self.list_commands(ctx) if not (found := self.commands[name]).hidden}
        width = max(map(len, shown), default=0)
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, found in shown.items():
            panel = getattr(found, "rich_help_panel", None)
            title = panel if isinstance(panel, str) else "Commands"
            first_line = (found.help or "").partition("\n")[0]
            sections.setdefault(title, []).append((name.ljust(width), first_line))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
