"""Every command is documented, has an example, and `--help` stays light."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
import typer.main

from fraudctl.cli.main import app

ROOT = Path(__file__).parents[2]
HEAVY = ("docker", "psycopg", "confluent_kafka", "pyspark")


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
