"""Hints can be typed: each command in the package's texts exists, and is right for the profile in use."""

import ast
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from fraudctl.broker import topics
from fraudctl.cli.command import app
from fraudctl.cli.hints import COMMAND, fit
from fraudctl.cli.main import run  # noqa: F401 - registers every command
from fraudctl.config.load import load
from fraudctl.errors import ELSEWHERE

PACKAGE = Path(__file__).parents[2] / "fraudctl"
# Commands that start, stop or show what only fraudctl's own services have.
OWN_ONLY = ("up", "down", "restart", "logs kafka", "logs postgres")


def texts(file: Path) -> Iterator[tuple[str, int]]:
    """Every text of a module with its line; what is filled in later is left out, or stands as `x`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno
        elif isinstance(node, ast.JoinedStr):
            text = ""
            for part in node.values:
                if isinstance(part, ast.Constant):
                    text += str(part.value)
                else:
                    # `down{option}` has its blank in the option; `apply {file}` needs a word.
                    text += "x" if text.endswith((" ", "=")) else ""
            yield text, node.lineno


def commands() -> list[tuple[str, str]]:
    found = {}
    for file in sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "cli" / "hints.py"}):
        for text, line in texts(file):
            for each in COMMAND.finditer(text):
                found[each["line"], file.name] = f"{file.relative_to(PACKAGE)}:{line}"
    return [(line, place) for (line, _name), place in sorted(found.items())]


def check(line: str) -> None:
    """Parse a command line as typer would; raises what typer raises."""
    command, words = typer.main.get_command(app), shlex.split(line)
    context = command.make_context("fraudctl", [], resilient_parsing=True)
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        if name.startswith("-") or name.isupper():  # `fraudctl COMMAND --help`
            return
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
    context.resilient_parsing = False
    command.make_parser(context).parse_args(words)


def test_there_are_hints_with_commands() -> None:
    assert len(commands()) > 40


@pytest.mark.parametrize(("line", "place"), commands())
def test_each_command_in_a_text_of_the_package_exists(line: str, place: str) -> None:
    check(line)


@pytest.mark.parametrize("line", ["upp", "up --any-ports", "rules appply x", "detect --new_generation"])
def test_a_command_that_does_not_exist_would_be_found(line: str) -> None:
    with pytest.raises((AssertionError, typer.TyperException)):
        check(line)


@pytest.mark.parametrize("own", sorted(ELSEWHERE))
def test_under_the_profile_external_no_hint_names_a_command_for_own_services(own: str) -> None:
    hint = fit(f"first this; {own}", external=True, options=())
    named = [each["line"] for each in COMMAND.finditer(hint)]
    assert not [line for line in named if line.startswith(OWN_ONLY)]
    assert own not in hint
    for line in named:
        check(line)


@pytest.mark.parametrize("folder", ["broker", "database", "detector", "recount"])
def test_what_serves_both_profiles_takes_its_hints_for_own_services_from_one_list(folder: str) -> None:
    """These parts know an address and no profile, so a command for own services must be in the list."""
    found = [
        f"{file.name}:{line}: {text}"
        for file in sorted((PACKAGE / folder).rglob("*.py"))
        for text, line in texts(file)
        for each in COMMAND.finditer(text)
        if each["line"].startswith(OWN_ONLY) and "create it with `fraudctl up`, or correct" not in text
    ]
    assert not found


def test_the_options_that_chose_the_stack_are_repeated() -> None:
    options = (("--home", "/my data"), ("--stack", "mine"))
    hint = "run `fraudctl migrate`, or `fraudctl down --stack other`; see --help"
    assert fit(hint, external=False, options=options) == (
        "run `fraudctl migrate --home '/my data' --stack mine`, "
        "or `fraudctl down --stack other --home '/my data'`; see --help"
    )
    inside = "`fraudctl exec kafka -- ls -la`"
    assert fit(inside, external=False, options=options[1:]) == "`fraudctl exec kafka --stack mine -- ls -la`"


def test_no_option_is_repeated_that_the_environment_gives() -> None:
    assert fit("run `fraudctl up`", external=False, options=()) == "run `fraudctl up`"


def test_who_may_not_create_the_topic_is_given_the_line_for_who_may() -> None:
    kafka = load(flags={"kafka.topic": "mine", "kafka.partitions": 7}).settings.kafka
    line = topics.creation_line("broker:9092", kafka)
    assert line.startswith(
        "kafka-topics.sh --bootstrap-server broker:9092 --create --topic mine --partitions 7 "
    )
    assert "--config message.timestamp.type=LogAppendTime" in line
