"""Fixtures for every test folder: a running stack that is shared, and stacks of one's own."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import stacks
from tests.support.bars import (  # noqa: F401 - the fixture `bar`, and the hooks that write its figures down
    bar,
    pytest_collection_finish,
    pytest_runtest_makereport,
)
from tests.support.stacks import Stack

NewStack = Callable[..., Stack]

# A user's shell exports settings of fraudctl and of the programs beside it; no test may depend on them. This
# is done before any test is collected, as some read the environment then. The cache is kept: it is large.
_FOREIGN = ("FRAUDCTL_", "PG", "KAFKA_", "SPARK_", "PYSPARK_", "HADOOP_", "NSS_WRAPPER_")
_FOREIGN_NAMES = frozenset({"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"})
for _name in list(os.environ):
    if (_name.startswith(_FOREIGN) or _name in _FOREIGN_NAMES) and _name != "FRAUDCTL_CACHE_DIR":
        del os.environ[_name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests are given most time begin first, so that at the end nobody waits for a long one."""
    given: dict[Path, float] = {}
    for item in items:
        marker = item.get_closest_marker("timeout")
        given[item.path] = max(given.get(item.path, 0.0), marker.args[0] if marker else 0.0)
    items.sort(key=lambda item: -given[item.path])


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


@pytest.fixture
def without_java(tmp_path: Path) -> dict[str, str]:
    """An environment in which only the wheel's Java is left; the tools that scripts need are on PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in (
        "bash",
        "sh",
        "dirname",
        "basename",
        "env",
        "cat",
        "ps",
        "sed",
        "uname",
        "tr",
        "head",
        "which",
    ):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    return {"PATH": str(tools), "JAVA_HOME": ""}
