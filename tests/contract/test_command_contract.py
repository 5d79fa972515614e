"""Every command is documented, has an example, and `--help` stays light."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from fraudctl.cli.main import app
from fraudctl.cli.panels import PANELS

ROOT = Path(__file__).parents[2]
HEAVY = ("docker", "psycopg", "confluent_kafka", "pyspark", "rich.markdown")
GROUPS = ("", "rules", "deadletters", "config")


def commands() -> dict[str, str]:
    """Full name → help text of every command, those of groups too."""
    found: dict[str, str] = {}

    def walk(group: typer.Typer, prefix: str) -> None:
        for registered in group.registered_commands:
            found[f"{prefix}{registered.name}"] = registered.help or ""
        for inner in group.registered_groups:
            assert inner.typer_instance is not None
            walk(inner.typer_instance, f"{prefix}{inner.name} ")

    walk(app, "fraudctl ")
    return found


def test_the_four_everyday_commands_exist() -> None:
    assert {"fraudctl up", "fraudctl produce", "fraudctl detect", "fraudctl verify-idempotency"} <= set(
        commands()
    )


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_help_with_an_example(name: str) -> None:
    text = commands()[name]
    assert len(text.split("\n")[0]) > 10
    example = text.partition("Example:\n")[2]
    assert name in example


def test_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in commands() if f"`{name}" not in readme and f"{name} " not in readme]
    assert not missing


def test_readme_is_at_most_200_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys; sys.argv = ['fraudctl', '--help']\n"
        "from fraudctl.cli.main import run\n"
        "try: run()\n"
        "except SystemExit: pass\n"
        f"print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"
    assert "verify-idempotency" in done.stdout


def help_page(group: str) -> str:
    """Return the output of `fraudctl GROUP --help` on a terminal of 80 columns."""
    arguments = [sys.executable, "-m", "fraudctl", *group.split(), "--help"]
    environment = os.environ | {"COLUMNS": "80"}
    return subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment).stdout


def first_lines(group: str) -> dict[str, str]:
    """Name → first line of the help of every command and group that stands directly in this group."""
    shown: Any = typer.main.get_command(app)
    if group:
        shown = shown.commands[group]
    return {name: inner.help.partition("\n")[0] for name, inner in shown.commands.items()}


def test_every_command_is_in_one_panel() -> None:
    in_panels = [name for names in PANELS.values() for name in names]
    assert sorted(in_panels) == sorted(first_lines(""))


def test_help_groups_the_commands_into_panels() -> None:
    sections: dict[str, list[str]] = {}
    title = ""
    for line in help_page("").splitlines():
        if line.endswith(":") and not line.startswith(" "):
            title = line.removesuffix(":")
        elif title in PANELS and line.startswith("  ") and line[2] != " ":
            sections.setdefault(title, []).append(line.split()[0])
    assert sections == {panel: list(names) for panel, names in PANELS.items()}
    assert list(sections) == list(PANELS)


@pytest.mark.parametrize("group", GROUPS)
def test_help_shows_the_whole_of_every_first_line_at_80_columns(group: str) -> None:
    page = help_page(group)
    assert max(map(len, page.splitlines())) <= 80
    words = " ".join(page.split())
    missing = {name: line for name, line in first_lines(group).items() if f"{name} {line}" not in words}
    assert not missing
