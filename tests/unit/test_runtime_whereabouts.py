"""Who is surely dead: only a process of this very machine, boot and namespace that runs no more."""

import os
import subprocess
import sys

import pytest

from fraudctl.runtime.process import identity


@pytest.fixture
def ended() -> str:
    """What was written down about a process that has ended since."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        written = identity.of_process(child.pid)
        assert not identity.is_surely_dead(written)
    return written


def test_a_living_process_is_not_dead() -> None:
    assert not identity.is_surely_dead(identity.of_process(os.getpid()))


def test_one_that_has_ended_is(ended: str) -> None:
    assert identity.is_surely_dead(ended)


def test_a_pid_that_was_given_out_again_is_another_process(ended: str) -> None:
    place, _pid, start = ended.split(" ")
    assert identity.is_surely_dead(f"{place} {os.getpid()} {start}")


@pytest.mark.parametrize("part", [0, 2], ids=["another machine", "another boot"])
def test_what_is_elsewhere_is_not_judged(ended: str, part: int) -> None:
    parts = ended.split(" ")
    parts[part] = f"x{parts[part]}"
    assert not identity.is_surely_dead(" ".join(parts))


@pytest.mark.parametrize("written", ["", "x", "x y z", "host 1 gone"])
def test_nonsense_is_not_judged(written: str) -> None:
    assert not identity.is_surely_dead(written)
