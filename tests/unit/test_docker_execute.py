"""The executor against an engine that exists in memory only: order, waiting, failure, taking back."""

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraudctl.clock import Deadline, StopFlag
from fraudctl.errors import ConfigError, NotReadyError, RefusedError, UnreachableError
from fraudctl.progress import Progress
from fraudctl.runtime.compose.read import read_compose
from fraudctl.runtime.docker.execute import Execution
from fraudctl.runtime.docker.look import of_inspection, taken_ports
from fraudctl.runtime.docker.observed import Network, Observed
from fraudctl.runtime.docker.plan import plan_down, plan_up
from fraudctl.runtime.docker.secret_files import SecretFiles
from tests.unit.test_docker_plan import ME, NOTHING, TEXT, VOLUMES, container

FILE = read_compose(TEXT, ME.file, {})


class FakeEngine:
    """Remembers what it is asked; `fails` maps a call to the error that it raises."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.states: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.logs: dict[str, list[str]] = {}
        self.fails: dict[str, Exception] = {}
        # What becomes of a container that is started: state, health, exit code.
        self.becomes: dict[str, tuple[str, str, int]] = {"p-keys-1": ("exited", "", 0)}

    def _call(self, text: str) -> None:
        self.calls.append(text)
        if text in self.fails:
            raise self.fails[text]

    def image_id(self, image: str) -> str | None:
        return f"sha-{image}"

    def create(self, config: dict[str, Any], labels: dict[str, str], name: str) -> str:
        self._call(f"create {name}")
        self.states[name] = {"Config": {**config, "Labels": labels}, "State": {"Status": "created"}}
        return name

    def start(self, name: str) -> None:
        self._call(f"start {name}")
        state, health, code = self.becomes.get(name, ("running", "healthy", 0))
        self.states[name]["State"] = {
            "Status": state,
            "ExitCode": code,
            "Health": {"Status": health, "Log": [{"Output": "check says no"}]} if health else None,
        }

    def unpause(self, name: str) -> None:
        self._call(f"unpause {name}")

    def stop(self, name: str, seconds: float) -> None:
        self._call(f"stop {name}")

    def remove(self, name: str) -> None:
        self._call(f"remove {name}")
        self.states.pop(name, None)

    def inspect(self, name: str) -> dict[str, Any] | None:
        if name not in self.states:
            return None
        return {"Id": name, "Name": f"/{name}", "HostConfig": {}, "Image": "", **self.states[name]}

    def log(self, name: str, lines: int) -> list[str]:
        return self.logs.get(name, [])[-lines:]

    def put_file(self, container: str, folder: str, name: str, content: bytes) -> None:
        self._call(f"put {name}")
        self.files[f"{folder}/{name}"] = content

    def get_file(self, container: str, path: str) -> bytes | None:
        return self.files.get(path)

    def create_network(self, name: str, labels: dict[str, str]) -> None:
        self._call(f"create network {name}")

    def remove_network(self, name: str) -> None:
        self._call(f"remove network {name}")

    def create_volume(self, name: str, labels: dict[str, str], place: Path | None) -> None:
        self._call(f"create volume {name}" + (f" in {place}" if place else ""))

    def remove_volume(self, name: str) -> None:
        self._call(f"remove volume {name}")


class Scene:
    """One execution on a fake engine."""

    def __init__(self, folder: Path) -> None:
        self.engine = FakeEngine()
        self.heard: list[Progress] = []
        self.stop = StopFlag()
        engine: Any = self.engine
        self.execution = Execution(
            engine=engine,
            file=FILE,
            identity=ME,
            secrets=SecretFiles(engine, None, "", {}, Path("secrets")),
            logs=folder / "logs",
            observe=self.heard.append,
            stop=self.stop,
        )

    def run(self, seen: Observed = NOTHING, seconds: float = 5) -> None:
        self.execution.run(plan_up(FILE, frozenset(), ME, seen), Deadline(seconds))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_everything_in_its_order(scene: Scene) -> None:
    scene.run()
    assert scene.engine.calls == [
        "create network p_default",
        "create volume p_keys",
        "create volume p_log",
        "create volume p_db",
        "create p-keys-1",
        "create p-log-1",
        "create p-db-1",
        "start p-keys-1",
        "start p-log-1",
        "start p-db-1",
    ]
    assert [each.text for each in scene.heard if each.kind == "done"] == [
        "ready at 127.0.0.1:9092",
        "ready at 127.0.0.1:5432",
    ]
    assert scene.execution.changed[:2] == ["network created", "volume keys created"]
    assert "log started" in scene.execution.changed


def test_a_container_that_ends_is_told_with_its_last_words(scene: Scene) -> None:
    scene.engine.becomes["p-log-1"] = ("exited", "", 3)
    scene.engine.logs["p-log-1"] = ["one", "the disk is on fire"]
    with pytest.raises(NotReadyError, match=r"log ended while it was starting \(exit code 3\)") as caught:
        scene.run()
    assert "p-log-1: the disk is on fire" in caught.value.detail


def test_a_task_that_fails_stops_those_that_need_it(scene: Scene) -> None:
    scene.engine.becomes["p-keys-1"] = ("exited", "", 1)
    with pytest.raises(NotReadyError, match="keys ended"):
        scene.run()
    assert "start p-db-1" not in scene.engine.calls


def test_an_unhealthy_container_is_not_waited_for(scene: Scene) -> None:
    scene.engine.becomes["p-log-1"] = ("running", "unhealthy", 0)
    with pytest.raises(NotReadyError, match="log is unhealthy") as caught:
        scene.run(seconds=3600)
    assert "last answer: check says no" in caught.value.detail


def test_a_full_disk_has_a_remedy_of_its_own(scene: Scene) -> None:
    scene.engine.becomes["p-db-1"] = ("exited", "", 1)
    scene.engine.logs["p-db-1"] = ["initdb: error: No space left on device"]
    with pytest.raises(NotReadyError) as caught:
        scene.run()
    assert "docker system df" in caught.value.hint


def test_waiting_ends_at_the_deadline_with_the_last_answer(scene: Scene) -> None:
    def probe(_seconds: float) -> None:
        raise UnreachableError("no", detail="connection reset by peer")

    scene.execution.probes = {"log": probe}
    with pytest.raises(NotReadyError, match="log was not ready within 0 s") as caught:
        scene.run(seconds=0)
    assert "last answer: connection reset by peer" in caught.value.detail


def test_a_verdict_of_the_probe_is_not_waited_over(scene: Scene) -> None:
    def probe(_seconds: float) -> None:
        raise ConfigError("the password is wrong")

    scene.execution.probes = {"db": probe}
    with pytest.raises(ConfigError, match="password"):
        scene.run(seconds=3600)


def test_the_client_s_answer_counts_before_the_engine_s_health(scene: Scene) -> None:
    scene.engine.becomes["p-log-1"] = ("running", "starting", 0)
    asked: list[float] = []
    scene.execution.probes = {"log": asked.append}
    scene.run()
    assert len(asked) == 1


def test_the_user_s_stop_is_heard(scene: Scene) -> None:
    scene.stop.set()
    with pytest.raises(KeyboardInterrupt):
        scene.run()
    assert scene.engine.calls == []


def test_undo_removes_all_that_was_new(scene: Scene) -> None:
    scene.engine.becomes["p-db-1"] = ("exited", "", 1)
    scene.engine.logs["p-db-1"] = ["why"]
    with pytest.raises(NotReadyError):
        scene.run()
    scene.engine.calls.clear()
    scene.execution.undo()
    assert [call for call in scene.engine.calls if call.startswith("remove")] == [
        "remove p-db-1",
        "remove p-log-1",
        "remove p-keys-1",
        "remove volume p_db",
        "remove volume p_log",
        "remove volume p_keys",
        "remove network p_default",
    ]
    kept = scene.execution.logs / "db.container.log"
    assert kept.read_text(encoding="utf-8") == "why\n"


def test_undo_keeps_data_and_stops_what_was_only_started(scene: Scene) -> None:
    stopped = container("log", state="exited", health="none")
    seen = Observed(
        NOTHING.images, (container("keys"), stopped), VOLUMES, (Network("n1", "p_default", "p", ME.folder),)
    )
    scene.engine.states["p-log-1"] = {"Config": {}, "State": {"Status": "exited"}}
    scene.engine.fails["create p-db-1"] = RefusedError("no")
    scene.engine.fails["start p-db-1"] = RefusedError("no")
    with pytest.raises(RefusedError):
        scene.run(seen)
    scene.execution.undo()
    assert not [call for call in scene.engine.calls if "volume" in call or "network" in call]


@pytest.mark.parametrize("kept", [False, True])
def test_undo_stops_in_order_what_has_data_to_lose(scene: Scene, kept: bool) -> None:
    seen = replace(NOTHING, volumes=VOLUMES) if kept else NOTHING
    scene.engine.fails["start p-db-1"] = RefusedError("no")
    with pytest.raises(RefusedError):
        scene.run(seen)
    scene.execution.undo()
    assert ("stop p-log-1" in scene.engine.calls) == kept


def test_undo_goes_on_when_a_part_of_it_fails(scene: Scene) -> None:
    scene.engine.fails["start p-db-1"] = UnreachableError("the engine has gone")
    with pytest.raises(UnreachableError):
        scene.run()
    scene.engine.fails["remove p-log-1"] = UnreachableError("the engine has gone")
    scene.execution.undo()
    assert "remove p-keys-1" in scene.engine.calls
    assert [each.text for each in scene.heard if each.kind == "note"] == [
        "p-log-1 could not be removed again: the engine has gone"
    ]


def test_down_stops_before_it_removes(scene: Scene) -> None:
    seen = Observed({}, (container("log"),), VOLUMES[:1], (Network("n1", "p_default", "p", ME.folder),))
    scene.execution.run(plan_down(FILE, ME, seen, volumes=True), Deadline(5))
    assert scene.engine.calls == [
        "stop p-log-1",
        "remove p-log-1",
        "remove network p_default",
        "remove volume p_keys",
    ]


def secret_files(scene: Scene, place: Path) -> SecretFiles:
    from fraudctl.runtime.compose.model import Secrets

    engine: Any = scene.engine
    return SecretFiles(engine, Secrets("keys", "/keys", ("a",)), "p-keys-1", {"a": place}, place.parent)


def test_a_password_that_the_user_has_is_handed_over(scene: Scene, tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.write_text("mine", encoding="utf-8")
    secret_files(scene, place).hand_over()
    assert scene.engine.files == {"/keys/a": b"mine\n"}


def test_a_password_that_the_volume_knows_is_never_replaced(scene: Scene, tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.write_text("mine", encoding="utf-8")
    scene.engine.files["/keys/a"] = b"theirs\n"
    secret_files(scene, place).hand_over()
    assert scene.engine.files == {"/keys/a": b"theirs\n"}


def test_a_password_is_gathered_for_its_owner_only(scene: Scene, tmp_path: Path) -> None:
    place = tmp_path / "secrets" / "a"
    scene.engine.files["/keys/a"] = b"made inside\n"
    secret_files(scene, place).gather()
    assert not place.exists()  # its container is not there
    scene.engine.states["p-keys-1"] = {"Config": {}, "State": {"Status": "exited"}}
    secret_files(scene, place).gather()
    assert place.read_text(encoding="utf-8") == "made inside\n"
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o777 == 0o700


def test_a_copy_follows_a_volume_that_was_made_anew(scene: Scene, tmp_path: Path) -> None:
    scene.engine.states["p-keys-1"] = {"Config": {}, "State": {"Status": "exited"}}
    scene.engine.files["/keys/a"] = b"new\n"
    copy, given = tmp_path / "secrets" / "a", tmp_path / "mine"
    for place in (copy, given):
        place.parent.mkdir(exist_ok=True)
        place.write_text("old\n", encoding="utf-8")
        files = replace(secret_files(scene, place), own=copy.parent)
        files.gather()
        assert place.read_text(encoding="utf-8") == "old\n", "only `up` looks whether it is still the one"
        files.gather(anew=True)
    assert copy.read_text(encoding="utf-8") == "new\n"
    assert given.read_text(encoding="utf-8") == "old\n", "what the user has named is the user's"


def test_an_inspection_becomes_a_plain_value() -> None:
    found = of_inspection(
        {
            "Id": "i",
            "Name": "/n",
            "Image": "sha",
            "Config": {
                "Image": "log:1",
                "Env": ["A=b=c"],
                "Cmd": ["run"],
                "Entrypoint": None,
                "Labels": {"com.docker.compose.project": "p", "com.docker.compose.service": "log"},
            },
            "State": {
                "Status": "running",
                "ExitCode": 0,
                "StartedAt": "2026-01-02T03:04:05.123456789Z",
                "Health": {"Status": "healthy"},
            },
            "HostConfig": {
                "Memory": 5,
                "PortBindings": {"1/tcp": [{"HostIp": "127.0.0.1", "HostPort": "2"}], "3/tcp": None},
            },
            "Mounts": [
                {"Type": "volume", "Name": "v", "Source": "/var/x", "Destination": "/d"},
                {"Type": "bind", "Source": "/src", "Destination": "/b"},
            ],
            "NetworkSettings": {"Networks": {"p_default": {"NetworkID": "n1"}}},
        }
    )
    assert (found.state, found.health, found.config_hash, found.folder) == ("running", "healthy", None, None)
    assert found.facts == {
        "image": "log:1",
        "memory limit": "5",
        "variable A": "b=c",
        "command": '["run"]',
        "port 1/tcp": "127.0.0.1:2",
        "mount /d": "v",
        "mount /b": "/src",
    }
    assert found.network_ids == {"n1"}
    assert found.started_at == pytest.approx(1767323045.123456)


def listed(name: str, project: str, address: str, port: int) -> dict[str, Any]:
    """As `GET /containers/json` has it."""
    return {
        "Id": "i",
        "Names": [f"/{name}"],
        "Image": "web:1",
        "Labels": {"com.docker.compose.project": project} if project else None,
        "Ports": [{"IP": address, "PublicPort": port, "PrivatePort": 80}, {"PrivatePort": 81}],
    }


def test_ports_that_are_taken_and_by_whom() -> None:
    class Listing:
        def containers(self, *, stopped: bool) -> list[dict[str, Any]]:
            assert not stopped
            return [
                listed("web", "", "0.0.0.0", 50001),
                listed("p-log-1", "p", "127.0.0.1", 50002),
                listed("far", "q", "192.0.2.7", 50003),
            ]

    engine: Any = Listing()
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = server.getsockname()[1]
        found = taken_ports(engine, ME, [50001, 50002, 50003, mine])
    assert found.keys() == {50001, mine}
    assert (found[50001].described, found[50001].detail) == ("the container web", "of the image web:1")
    assert f"(pid {os.getpid()})" in found[mine].described
