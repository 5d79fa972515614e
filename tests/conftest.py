"""Fixtures for every test folder: a running stack that is shared, and stacks of one's own."""

from collections.abc import Callable, Iterator

import pytest

from tests import stacks
from tests.stacks import Stack

NewStack = Callable[..., Stack]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One running stack for the whole session. Use topics and databases of your own in it."""
    shared = stacks.new_stack(stacks.make_home())
    try:
        shared.up()
        yield shared
    finally:
        stacks.discard(shared)


@pytest.fixture
def new_stack() -> Iterator[NewStack]:
    """Makes stacks that are not started yet, each in its own home; all are removed after the test."""
    made: list[Stack] = []

    def make(environ: dict[str, str] | None = None, command: list[str] | None = None) -> Stack:
        made.append(stacks.new_stack(stacks.make_home(), environ, command))
        return made[-1]

    yield make
    for each in made:
        stacks.discard(each)
