"""What can go wrong with an engine: each a named error, an exit code, a remedy, and nothing half-made."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from fraudctl.errors import UnreachableError
from fraudctl.runtime.docker.address import EngineAddress
from fraudctl.runtime.docker.engine import Engine
from tests.engine.conftest import Contained, NewContained
from tests.support.engine_proxy import EngineProxy

pytestmark = pytest.mark.engine

NOBODY = 65534


def refused(one: Contained, code: int, *words: str, env: dict[str, str] | None = None) -> str:
    """`up` fails with this exit code, these words and a hint, and leaves nothing on the engine."""
    done = one.stack.run("up", check=False, env=env)
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_port_held_by_a_process(new_contained: NewContained) -> None:
    one = new_contained()
    port = int(one.stack.env["FRAUDCTL_KAFKA__PORT"])
    with socket.create_server(("127.0.0.1", port)):
        refused(one, 3, f"port {port} for kafka is held by", f"(pid {os.getpid()})", "--any-port")
        assert one.leftovers() == []
        report = one.stack.json("up", "--any-port")
        assert report["services"]["kafka"]["bootstrap_servers"] != f"127.0.0.1:{port}"
    assert one.stack.json("up")["changed"] == []


def test_a_port_held_by_a_container(new_contained: NewContained, engine: docker.DockerClient) -> None:
    one = new_contained()
    port = int(one.stack.env["FRAUDCTL_POSTGRES__PORT"])
    web = engine.containers.run(
        "postgres:17", ["sleep", "300"], detach=True, ports={"1/tcp": ("127.0.0.1", port)}, name=f"web-{port}"
    )
    try:
        refused(one, 3, f"port {port} for postgres is held by the container web-{port}")
        assert one.leftovers() == []
    finally:
        web.remove(force=True, v=True)


def test_an_image_that_is_not_to_be_had(new_contained: NewContained) -> None:
    one = new_contained({"FRAUDCTL_DOCKER__KAFKA_IMAGE": "localhost:1/nobody/kafka:0"})
    refused(
        one,
        4,
        "the image localhost:1/nobody/kafka:0 is not on this machine and cannot be fetched",
        "set docker.kafka_image to a mirror",
    )
    assert one.leftovers() == []


def test_an_engine_that_goes_away_half_way(new_contained: NewContained, engine_socket: str) -> None:
    """Intent: nobody can take back what was done, but the next `up` goes on from there."""
    one = new_contained()
    path = Path("/tmp") / f"{one.project}.sock"
    proxy = EngineProxy(path, engine_socket, "/start")
    try:
        done = refused(
            one, 4, "the Docker engine has gone away (while starting", env={"DOCKER_HOST": f"unix://{path}"}
        )
        assert proxy.has_died
        assert "could not be removed again" in done
    finally:
        proxy.close()
        path.unlink()
    report = one.stack.json("up")
    assert any("started" in change for change in report["changed"])
    assert not any("volume" in change for change in report["changed"])


def test_a_name_that_another_container_has(new_contained: NewContained, engine: docker.DockerClient) -> None:
    one = new_contained()
    other = engine.containers.create("postgres:17", name=f"{one.project}-kafka-1")
    try:
        refused(one, 3, f"the name {one.project}-kafka-1 is taken", f"docker rm -f {one.project}-kafka-1")
        assert one.leftovers() == [f"{one.project}-kafka-1"]
    finally:
        other.remove(force=True, v=True)


def test_a_volume_left_by_another_stack(new_contained: NewContained, engine: docker.DockerClient) -> None:
    one = new_contained()
    labels = {"com.docker.compose.project": one.project, "fraudctl.folder": "/home/somebody/stacks/x"}
    volume = engine.volumes.create(f"{one.project}_postgres-data", labels=labels)
    try:
        refused(one, 3, "belongs to another stack of the same name", f"docker volume rm {volume.name}")
        assert one.leftovers() == [volume.name]
        down = one.stack.run("down", "--volumes", "--yes", check=False)
        assert down.returncode == 3
    finally:
        volume.remove(force=True)


@pytest.fixture
def broken_image(engine: docker.DockerClient) -> Iterator[str]:
    """An image that starts, says something, and never listens."""
    script = "echo warming up; echo the flux compensator is missing >&2; sleep 600"
    source = engine.containers.create("postgres:17", entrypoint=["sh", "-c", script])
    image = source.commit(repository="fraudctl-test-broken", tag="1")
    source.remove(v=True)
    yield "fraudctl-test-broken:1"
    engine.images.remove(image.id, force=True)


def test_a_service_that_never_gets_well(new_contained: NewContained, broken_image: str) -> None:
    one = new_contained({"FRAUDCTL_DOCKER__KAFKA_IMAGE": broken_image, "FRAUDCTL_TIMEOUTS__UP_SECONDS": "12"})
    refused(one, 5, "kafka was not ready within 12 s", "the flux compensator is missing", "last answer: ")
    assert one.leftovers() == []
    kept = one.stack.root / "logs" / "kafka.container.log"
    assert "warming up" in kept.read_text(encoding="utf-8")


def test_a_service_that_ends_at_once(new_contained: NewContained) -> None:
    one = new_contained({"FRAUDCTL_DOCKER__KAFKA_IMAGE": "postgres:17"})
    refused(one, 5, "kafka ended while it was starting (exit code 1)", f"{one.project}-kafka-1: ")
    assert one.leftovers() == []


def test_a_volume_without_room(new_contained: NewContained, engine: docker.DockerClient) -> None:
    """A volume of ours with a quota, as some engines have them: data that was there before stays."""
    one = new_contained()
    volume = engine.volumes.create(
        f"{one.project}_postgres-data",
        driver="local",
        driver_opts={"type": "tmpfs", "device": "tmpfs", "o": "size=8m"},
        labels={"com.docker.compose.project": one.project, "fraudctl.folder": str(one.stack.root)},
    )
    refused(one, 5, "postgres ended while it was starting", "No space left on device", "make room")
    assert one.leftovers() == [volume.name]


def test_no_socket(new_contained: NewContained) -> None:
    missing = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    refused(new_contained(), 4, "socket is missing", "DOCKER_HOST", "--profile local", env=missing)


def test_a_user_who_may_not(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    path = Path("/tmp") / f"{tmp_path.name}.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        path.chmod(0o600)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(
                UnreachableError, match="this user may not talk to the Docker engine"
            ) as caught:
                Engine(EngineAddress(f"unix://{path}", "test"))
        finally:
            os.seteuid(0)
            path.unlink()
    assert "usermod -aG docker" in caught.value.hint


def test_an_engine_that_is_stopped(new_contained: NewContained) -> None:
    one = new_contained()
    path = Path("/tmp") / f"{one.project}.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()
    try:
        host = {"DOCKER_HOST": f"unix://{path}"}
        refused(one, 4, "does not run: nobody listens", "systemctl start docker", env=host)
    finally:
        path.unlink()


def test_a_host_that_does_not_answer(new_contained: NewContained) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = {"DOCKER_HOST": f"tcp://127.0.0.1:{silent.getsockname()[1]}"}
        refused(new_contained(), 4, "no Docker engine answers", "unset DOCKER_HOST", env=host)


def test_an_engine_elsewhere(new_contained: NewContained) -> None:
    host = {"DOCKER_HOST": "tcp://192.0.2.1:2375"}
    refused(new_contained(), 3, "runs on another machine", env=host)
