"""Which engine is meant, and how its errors read. Nothing is asked of any engine."""

import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import docker.errors
import pytest
import requests.exceptions

from fraudctl.errors import NotReadyError, RefusedError, UnreachableError
from fraudctl.runtime.docker import failures
from fraudctl.runtime.docker.address import EngineAddress, find_engine

ADDRESS = EngineAddress("unix:///run/x.sock", "test")


def context(home: Path, name: str, host: str, *, current: bool = True) -> None:
    folder = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": name, "Endpoints": {"docker": {"Host": host}}}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    if current:
        (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}), encoding="utf-8")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def test_docker_host_comes_first(home: Path) -> None:
    context(home, "mine", "unix:///mine.sock")
    found = find_engine({"DOCKER_HOST": "unix:///theirs.sock"}, home)
    assert (found.host, found.source, found.tls) == ("unix:///theirs.sock", "DOCKER_HOST", "")
    assert found.socket == Path("/theirs.sock")


def test_certificates_are_used_when_asked_for(home: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://localhost:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}
    assert find_engine(environ, home).tls == "/certs"


def test_the_current_context(home: Path) -> None:
    context(home, "desktop-linux", "unix:///home/x/.docker/desktop/docker.sock")
    found = find_engine({}, home)
    assert found.host == "unix:///home/x/.docker/desktop/docker.sock"
    assert found.source == "context desktop-linux"


def test_docker_context_names_another(home: Path) -> None:
    context(home, "one", "unix:///one.sock")
    context(home, "two", "unix:///two.sock", current=False)
    assert find_engine({"DOCKER_CONTEXT": "two"}, home).host == "unix:///two.sock"


def test_docker_config_moves_the_folder(home: Path, tmp_path: Path) -> None:
    context(home, "mine", "unix:///mine.sock")
    assert (
        find_engine({"DOCKER_CONFIG": str(home / ".docker")}, tmp_path / "other").host == "unix:///mine.sock"
    )


def test_a_context_that_does_not_exist_is_named(home: Path) -> None:
    with pytest.raises(UnreachableError, match="no Docker context 'gone'") as caught:
        find_engine({"DOCKER_CONTEXT": "gone"}, home)
    assert "docker context ls" in caught.value.hint


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Path]:
    """A socket's path may have 107 characters at most."""
    folder = Path("/tmp") / f"sock-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}"
    folder.mkdir()
    yield folder
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    folder.rmdir()


@pytest.mark.parametrize(
    ("place", "source"),
    [("docker.sock", "rootless Docker"), ("podman/podman.sock", "Podman")],
)
def test_sockets_of_one_s_own(short: Path, place: str, source: str) -> None:
    (short / place).parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short / place))
        found = find_engine({"XDG_RUNTIME_DIR": str(short)}, short, system=())
    assert (found.host, found.source) == (f"unix://{short / place}", source)


def test_the_machine_s_own_engine_comes_first(short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as system, socket.socket(socket.AF_UNIX) as own:
        system.bind(str(short / "system.sock"))
        own.bind(str(short / "docker.sock"))
        found = find_engine(
            {"XDG_RUNTIME_DIR": str(short)}, short, system=(("Docker", short / "system.sock"),)
        )
    assert (found.host, found.source) == (f"unix://{short / 'system.sock'}", "Docker")


@pytest.mark.parametrize("installed", [True, False])
def test_no_engine_at_all(home: Path, installed: bool) -> None:
    tool = home / "docker"
    if installed:
        tool.touch(mode=0o755)
    with pytest.raises(UnreachableError) as caught:
        find_engine({"PATH": str(home)}, home, system=())
    assert caught.value.message.startswith(
        "no Docker engine runs" if installed else "Docker is not installed"
    )
    assert "--profile local" in caught.value.hint


@pytest.mark.parametrize("host", ["tcp://10.0.0.7:2375", "ssh://me@server", "tcp://docker:2376"])
def test_an_engine_of_another_machine_is_refused(home: Path, host: str) -> None:
    with pytest.raises(RefusedError, match="runs on another machine"):
        find_engine({"DOCKER_HOST": host}, home)


@pytest.mark.parametrize(
    "host", ["/var/run/docker.sock", "tcp://localhost", "tcp://localhost:x", "ftp://localhost:1"]
)
def test_what_is_no_address_is_refused(home: Path, host: str) -> None:
    with pytest.raises(UnreachableError, match="is not the address of a Docker engine"):
        find_engine({"DOCKER_HOST": host}, home)


@pytest.mark.parametrize(
    ("cause", "words", "remedy"),
    [
        (FileNotFoundError(2, "No such file"), "socket is missing", "start Docker"),
        (PermissionError(13, "Permission denied"), "this user may not talk", "usermod -aG docker"),
        (ConnectionRefusedError(111, "refused"), "does not run", "systemctl start docker"),
        (TimeoutError("timed out"), "no Docker engine answers", "unset DOCKER_HOST"),
    ],
)
def test_four_ways_not_to_be_reached(cause: OSError, words: str, remedy: str) -> None:
    # As the SDK hands it on: in the arguments of an exception, behind another one.
    outer = docker.errors.DockerException("wrapped")
    outer.__cause__ = requests.exceptions.ConnectionError(Exception("aborted", cause))
    error = failures.unreachable(ADDRESS, outer)
    assert words in error.message
    assert "unix:///run/x.sock (from test)" in error.message
    assert remedy in error.hint


@pytest.mark.parametrize(
    ("text", "status", "kind", "words"),
    [
        ("write /x: no space left on device", 500, RefusedError, "no room left"),
        (
            "listen tcp4 127.0.0.1:9092: bind: address already in use",
            500,
            RefusedError,
            "a port is taken: 9092",
        ),
        ("Bind for 127.0.0.1:5432 failed: port is already allocated", 500, RefusedError, "taken: 5432"),
        ('Conflict. The container name "/x" is already in use', 409, RefusedError, "conflict"),
        ("invalid mount config", 400, RefusedError, "does not accept"),
        ("something broke", 500, NotReadyError, "engine failed"),
    ],
)
def test_what_the_engine_answers(text: str, status: int, kind: type[Exception], words: str) -> None:
    error = failures.of_engine(text, status, "starting x")
    assert isinstance(error, kind)
    assert words in error.message and "while starting x" in error.message
    assert error.detail == text
    assert error.hint


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("manifest unknown", "docker pull a:1` must work"),
        ("pull access denied for a, repository does not exist or may require 'docker login'", "docker login"),
        ("dial tcp: lookup registry.example: no such host", "docker load"),
    ],
)
def test_why_an_image_cannot_be_had(text: str, remedy: str) -> None:
    error = failures.of_pull("a:1", text, "docker.kafka_image")
    assert isinstance(error, UnreachableError)
    assert remedy in error.hint
    assert "docker.kafka_image" in error.hint or "docker pull" in error.hint


def test_an_engine_that_has_gone() -> None:
    error = failures.gone(ADDRESS, requests.exceptions.ConnectionError("aborted"), "starting x")
    assert isinstance(error, UnreachableError)
    assert "gone away (while starting x)" in error.message
    slow = failures.gone(ADDRESS, requests.exceptions.ReadTimeout("read"), "starting x")
    assert isinstance(slow, NotReadyError)
    assert slow.exit_code == 5
