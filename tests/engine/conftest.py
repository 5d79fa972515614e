"""Stacks on a real engine, each with names of its own, and a client that looks at the engine from outside."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from fraudctl.errors import FraudctlError
from fraudctl.runtime.docker.address import find_engine
from tests.support import stacks
from tests.support.stacks import Stack

IMAGES = ("apache/kafka:4.1.1", "postgres:17")


@dataclass(frozen=True)
class Contained:
    """One stack, its project on the engine, and a client that asks the engine about it."""

    stack: Stack
    project: str
    client: docker.DockerClient

    @property
    def _ours(self) -> dict[str, str]:
        return {"label": f"com.docker.compose.project={self.project}"}

    def containers(self) -> dict[str, Any]:
        """Service to container, those that do not run too."""
        found = self.client.containers.list(all=True, filters=self._ours, ignore_removed=True)
        return {each.labels["com.docker.compose.service"]: each for each in found}

    def ids(self) -> dict[str, str]:
        return {name: str(each.id) for name, each in self.containers().items()}

    def leftovers(self) -> list[str]:
        """Everything on the engine that bears the stack's name."""
        found = [each.name for each in self.client.containers.list(all=True, ignore_removed=True)]
        found += [each.name for each in self.client.networks.list()]
        found += [each.name for each in self.client.volumes.list()]
        return [name for name in found if name.startswith((f"{self.project}-", f"{self.project}_"))]


NewContained = Callable[..., Contained]


@pytest.fixture(scope="session")
def engine_socket() -> str:
    """Where the engine listens."""
    return find_engine(dict(os.environ)).host.removeprefix("unix://")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine that fraudctl would use; without one these tests fail, for nobody runs them by chance."""
    try:
        address = find_engine(dict(os.environ))
    except FraudctlError as error:
        pytest.fail(f"{error.message}; {error.hint}")
    client = docker.DockerClient(base_url=address.host, timeout=60)
    for image in IMAGES:
        if not client.images.list(name=image):
            client.images.pull(image)
    yield client
    client.close()


@pytest.fixture
def new_contained(engine: docker.DockerClient) -> Iterator[NewContained]:
    """Makes stacks of the profile docker that are not started yet; all traces are removed after the test."""
    made: list[Contained] = []

    def make(environ: dict[str, str] | None = None) -> Contained:
        made.append(contained(engine, environ))
        return made[-1]

    yield make
    for each in made:
        discard(each)


@pytest.fixture(scope="module")
def running(engine: docker.DockerClient) -> Iterator[Contained]:
    """One stack that is up, for the tests of a module that leave it as they found it."""
    made = contained(engine)
    try:
        made.stack.up()
        yield made
    finally:
        discard(made)


def contained(engine: docker.DockerClient, environ: dict[str, str] | None = None) -> Contained:
    name = f"test{secrets.token_hex(3)}"
    own = {
        "FRAUDCTL_PROFILE": "docker",
        "FRAUDCTL_STACK": name,
        "FRAUDCTL_TIMEOUTS__UP_SECONDS": "240",  # a busy machine takes long to start anything
        "FRAUDCTL_DOCKER__GRAFANA_PORT": str(stacks.free_port()),
    }
    stack = stacks.new_stack(stacks.make_home(), own | (environ or {}))
    return Contained(stack, f"fraudctl-{name}", engine)


def discard(made: Contained) -> None:
    """By the engine's own means too: a test may have broken whatever fraudctl would need."""
    try:
        made.stack.run("down", "--volumes", "--yes", check=False)
    finally:
        for container in made.containers().values():
            container.remove(force=True, v=True)
        for network in made.client.networks.list(names=[f"{made.project}_default"]):
            network.remove()
        for volume in made.client.volumes.list():
            if volume.name.startswith(f"{made.project}_"):
                volume.remove(force=True)
        shutil.rmtree(made.stack.home, ignore_errors=True)
