"""Who does what the hints say is there within a few steps: each hint is typed as it stands."""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from uuid import uuid4

import pytest

from fraudctl.cli.hints import COMMAND
from fraudctl.config.endpoints import Endpoints
from tests.conftest import NewStack
from tests.support.commands import fraudctl
from tests.support.databases import temporary_database

pytestmark = pytest.mark.services

Run = Callable[..., CompletedProcess[str]]
MOST_STEPS = 4


def follow(run: Run, command: str) -> list[str]:
    """Run a command until it succeeds, and before each new try the first command of its hint."""
    typed = []
    for _ in range(MOST_STEPS):
        done = run(*shlex.split(command))
        typed.append(command)
        if done.returncode == 0:
            return typed
        hint = done.stderr.rpartition("hint: ")[2]
        named = COMMAND.search(hint)
        assert named is not None, f"no command to go on with: {done.stderr}"
        typed += follow(run, named["line"]) if named["line"] != command else []
    raise AssertionError(f"no success after {typed}")


@pytest.fixture
def elsewhere(endpoints: Endpoints, tmp_path: Path) -> Iterator[Run]:
    """The profile external, with an empty database and a topic that is not there yet."""
    topic = f"hints-{uuid4().hex[:8]}"
    with temporary_database(endpoints.postgres) as database:

        def run(*arguments: str) -> CompletedProcess[str]:
            return fraudctl(
                replace(endpoints, postgres=database),
                tmp_path,
                *arguments,
                kafka__topic=topic,
                timeouts__stack_grace_seconds="0",
            )

        yield run


@pytest.mark.parametrize("command", ["produce --count 1 --rate max", "detect --dry-run", "rules list"])
def test_elsewhere_without_topic_and_schema(elsewhere: Run, command: str) -> None:
    typed = follow(elsewhere, command)
    assert typed[-1] == command
    assert "up" not in typed


def test_elsewhere_up_says_what_to_do_and_that_does_it(elsewhere: Run) -> None:
    done = elsewhere("up")
    assert done.returncode == 3
    steps = [each["line"] for each in COMMAND.finditer(done.stderr)]
    assert steps == ["migrate", "status"]
    assert [elsewhere(step).returncode for step in steps] == [0, 0]
    assert elsewhere("doctor").returncode == 0


def test_elsewhere_the_doctor_gives_the_same_hints(elsewhere: Run) -> None:
    done = elsewhere("doctor")
    assert done.returncode == 1
    assert "create it with `fraudctl migrate`" in done.stdout
    assert "fraudctl up" not in done.stdout


def test_elsewhere_migrate_says_that_it_has_made_the_topic_once(elsewhere: Run) -> None:
    assert "created topic hints-" in elsewhere("migrate").stdout
    assert "created topic" not in elsewhere("migrate").stdout


def test_elsewhere_a_topic_of_another_shape_is_left_as_it_is(endpoints: Endpoints, tmp_path: Path) -> None:
    done = fraudctl(endpoints, tmp_path, "migrate", kafka__partitions="50")
    assert done.returncode == 0, done.stderr


def test_with_nothing_up_and_with_a_stack_that_is_down(new_stack: NewStack) -> None:
    mine = new_stack({"FRAUDCTL_TIMEOUTS__STACK_GRACE_SECONDS": "0"})

    def run(*arguments: str) -> CompletedProcess[str]:
        return mine.run(*arguments, check=False)

    for _state in ("never up", "down"):
        assert follow(run, "detect --dry-run") == ["detect --dry-run", "up", "detect --dry-run"]
        mine.run("down")


def test_the_stack_that_was_named_is_the_one_that_the_hint_starts(
    tmp_path: Path, new_stack: NewStack
) -> None:
    mine = new_stack({"FRAUDCTL_TIMEOUTS__STACK_GRACE_SECONDS": "0"})
    done = mine.run("produce", "--count", "1", "--stack", "other", "--profile", "local", check=False)
    assert "`fraudctl up --stack other --profile local`" in done.stderr
