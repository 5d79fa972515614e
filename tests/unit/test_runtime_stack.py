"""State of a stack, folders PostgreSQL must reach, locks, waiting: what needs no service."""

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.load import load
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import ConfigError, NotReadyError, RefusedError, UnreachableError
from fraudctl.operations.lifecycle.up import UpRequest, plan, up
from fraudctl.runtime import readiness, stack
from fraudctl.runtime.files import locked, make_folder, tail, write_whole
from fraudctl.runtime.local import postgres
from fraudctl.runtime.local.postgres_wheel import closed_ancestor
from fraudctl.runtime.process.supervise import ProcessRecord
from fraudctl.runtime.stack import Ports
from fraudctl.ui.text import up as up_text

STRANGER = 54321


@pytest.fixture
def paths(tmp_path: Path) -> StackPaths:
    return StackPaths(home=tmp_path / "home", stack="default", cache=tmp_path / "cache")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FRAUDCTL_")]:
        monkeypatch.delenv(name)


def settings(**flags: object) -> Settings:
    return load(flags={name.replace("__", "."): value for name, value in flags.items()}).settings


def test_auto_is_local_without_an_engine_and_says_why(paths: StackPaths, tmp_path: Path) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    profile, reason = stack.choose_profile(settings(), paths, nowhere)
    assert profile == "local"
    assert reason.startswith("auto: the Docker engine's socket is missing")
    external = settings(kafka__bootstrap_servers="broker:9092")
    assert stack.choose_profile(external, paths, nowhere)[0] == "external"


@pytest.mark.parametrize("profile", ["local", "docker", "external"])
def test_a_named_profile_is_taken_unasked(paths: StackPaths, profile: str) -> None:
    assert stack.choose_profile(settings(profile=profile), paths) == (profile, "the settings name it")


def test_auto_stays_with_what_the_first_up_chose(paths: StackPaths) -> None:
    make_folder(paths.run)
    stack.write_state(paths, stack.planned_state(settings(), paths, "docker", "auto: Docker answered"))
    assert stack.choose_profile(settings(), paths) == ("docker", "auto: Docker answered")
    with pytest.raises(RefusedError, match="brought up under the profile docker, not local"):
        stack.endpoints(settings(profile="local"), paths)


def test_endpoints_are_those_of_the_state_and_its_services_must_run(paths: StackPaths) -> None:
    chosen = settings(kafka__port=1111, postgres__port=2222)
    assert stack.addresses(chosen, paths, "local").bootstrap_servers == "127.0.0.1:1111"
    with pytest.raises(UnreachableError, match="is not up"):
        stack.endpoints(chosen, paths)
    make_folder(paths.run)
    state = stack.planned_state(chosen, paths, "local", "", Ports(3333, 4444, 5555))
    assert stack.write_state(paths, state) is True
    assert stack.write_state(paths, state) is False
    assert stack.read_state(paths) == state
    with pytest.raises(UnreachableError, match="kafka of stack 'default' does not run"):
        stack.endpoints(chosen, paths)
    found = stack.endpoints(chosen, paths, need=())
    assert found == stack.addresses(chosen, paths, "local")
    assert found.bootstrap_servers == "127.0.0.1:3333"
    assert (found.postgres.host, found.postgres.port) == ("127.0.0.1", 5555)
    assert found.postgres.password_file == paths.secrets / "postgres.password"
    with pytest.raises(
        RefusedError, match="name the database other, and stack 'default' uses fraudctl"
    ) as caught:
        stack.endpoints(settings(postgres__database="other"), paths, need=())
    assert "fraudctl up" in caught.value.hint


def test_external_endpoints_are_those_of_the_settings(paths: StackPaths) -> None:
    with pytest.raises(ConfigError, match=r"needs kafka\.bootstrap_servers"):
        stack.endpoints(settings(profile="external"), paths)
    with pytest.raises(ConfigError, match=r"needs postgres\.password_file"):
        stack.endpoints(settings(profile="external", kafka__bootstrap_servers="a:1"), paths)
    found = stack.endpoints(
        settings(
            profile="external",
            kafka__bootstrap_servers="a:1,b:2",
            postgres__password_file="/p",
            postgres__host="db",
        ),
        paths,
    )
    assert found.bootstrap_servers == "a:1,b:2"
    assert found.postgres.dsn() == "postgresql://fraudctl@db:5432/fraudctl"


@pytest.mark.parametrize("text", ["", "[]", '{"profile": "local"}'])
def test_a_damaged_state_is_refused(paths: StackPaths, text: str) -> None:
    make_folder(paths.run)
    paths.state_file.write_text(text, encoding="utf-8")
    with pytest.raises(RefusedError, match="cannot be read"):
        stack.read_state(paths)


def test_a_state_that_cannot_be_opened_is_refused_without_a_hint_to_remove_it(
    paths: StackPaths,
) -> None:
    paths.state_file.mkdir(parents=True)
    with pytest.raises(RefusedError, match="cannot be read") as caught:
        stack.read_state(paths)
    assert "remove" not in caught.value.hint
    assert "Errno" not in caught.value.detail


@pytest.mark.parametrize("profile", ["local", "docker"])
def test_a_service_elsewhere_named_under_a_profile_with_its_own_is_told(profile: stack.Profile) -> None:
    named = settings(profile=profile, kafka__bootstrap_servers="db:9092", postgres__host="db")
    notes = stack.unused_settings(named, profile)
    assert [note.partition(" = ")[0] for note in notes] == ["kafka.bootstrap_servers", "postgres.host"]
    assert all("is not used" in note and "profile external" in note for note in notes)
    assert not stack.unused_settings(named, "external")
    assert not stack.unused_settings(settings(profile=profile), profile)


def test_the_plan_of_up_tells_of_settings_without_effect(paths: StackPaths) -> None:
    named = settings(profile="local", kafka__bootstrap_servers="broker:9092")
    planned = plan(UpRequest(named, paths, {"PATH": "/nonexistent"}, any_port=True))
    assert "note: kafka.bootstrap_servers = broker:9092 is not used" in up_text.plan(planned)


def test_a_home_that_is_a_file_holds_no_stack(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert stack.read_state(StackPaths(tmp_path / "file", "default", tmp_path)) is None


def test_up_without_room_is_refused_before_anything_is_started(paths: StackPaths) -> None:
    request = UpRequest(settings(profile="local"), paths, {"PATH": "/nonexistent"})
    with pytest.raises(RefusedError, match="499 MB free, 500 MB needed") as caught:
        up(request, stop=StopFlag(), observe=lambda _event: None, room=lambda _folder: 499_000_000)
    assert "--home" in caught.value.hint
    assert not paths.run.exists()


def test_the_first_closed_folder_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/tmp") and folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(0o755)
    closed = tmp_path / "closed"
    deep = closed / "open" / "data"
    deep.mkdir(parents=True)
    assert closed_ancestor(deep, STRANGER, STRANGER) is None
    closed.chmod(0o750)
    assert closed_ancestor(deep, STRANGER, STRANGER) == closed
    assert closed_ancestor(deep, os.geteuid(), STRANGER) is None
    assert closed_ancestor(deep, STRANGER, closed.stat().st_gid) is None
    closed.chmod(0o755)
    assert closed_ancestor(deep / "to" / "come", STRANGER, STRANGER) is None


def test_a_closed_folder_behind_a_link_is_found(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "home").mkdir(parents=True)
    (tmp_path / "link").symlink_to(real / "home")
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/tmp") and folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(0o755)
    real.chmod(0o700)
    assert closed_ancestor(tmp_path / "link" / "data", STRANGER, STRANGER) == real


def test_a_lock_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    file = tmp_path / "stacks" / "lock"
    with locked(file, Deadline(5), purpose="testing"):
        with (
            pytest.raises(NotReadyError, match="another fraudctl has been testing"),
            locked(file, Deadline(0), purpose="testing"),
        ):
            pytest.fail("two hold one lock")
        # The holder may remove it: `down --volumes` does.
        file.unlink()
        with locked(file, Deadline(5), purpose="testing"):
            assert file.exists()


def test_a_waiter_gets_the_lock_when_its_turn_has_come(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    order: list[str] = []
    inside = threading.Event()
    release = threading.Event()

    def first() -> None:
        with locked(file, Deadline(10), purpose="testing"):
            inside.set()
            release.wait(10)
            order.append("first")
            file.unlink()

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    threading.Timer(0.3, release.set).start()
    with locked(file, Deadline(10), purpose="testing"):
        order.append("second")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_whole_write_replaces_and_leaves_no_trace(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_whole(file, "one")
    write_whole(file, "two")
    assert file.read_text(encoding="utf-8") == "two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_tail_gives_the_last_lines_of_any_file(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert tail(file, 3) == []
    lines = [f"line {number} {'x' * 200}" for number in range(2000)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert tail(file, 3) == lines[-3:]
    assert tail(file, 1500) == lines[-1500:]
    assert tail(file, 9999) == lines
    assert tail(file, 0) == []


def dead(log: Path) -> ProcessRecord:
    return ProcessRecord("kafka", 2**22 - 7, "no-boot:1", "", str(log))


def test_waiting_ends_as_soon_as_the_process_has(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("starting\nno space left on device\n", encoding="utf-8")

    def probe(_seconds: float) -> None:
        raise UnreachableError("no", detail="connection refused")

    with pytest.raises(NotReadyError, match="kafka ended while it was starting") as caught:
        readiness.wait_ready(dead(log), probe, Deadline(3600), log)
    assert "kafka.log: no space left on device" in caught.value.detail
    assert str(log) in caught.value.hint


def test_waiting_ends_at_the_deadline_with_the_last_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe(_seconds: float) -> None:
        raise UnreachableError("no", detail="connection refused")

    monkeypatch.setattr(readiness, "is_alive", lambda _record: True)
    with pytest.raises(NotReadyError, match="kafka was not ready within 0 s") as caught:
        readiness.wait_ready(dead(tmp_path / "log"), probe, Deadline(0), tmp_path / "log")
    assert "last answer: connection refused" in caught.value.detail


def test_a_verdict_of_the_probe_is_not_waited_over(tmp_path: Path) -> None:
    def probe(_seconds: float) -> None:
        raise ConfigError("the password is wrong")

    with pytest.raises(ConfigError, match="password"):
        readiness.wait_ready(dead(tmp_path / "log"), probe, Deadline(3600), tmp_path / "log")


@pytest.fixture
def server_program(tmp_path: Path) -> Path:
    """A program that is called postgres, and sleeps."""
    program = tmp_path / "bin" / "postgres"
    program.parent.mkdir()
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    return program


def write_lock(data: Path, pid: int) -> Path:
    lock = data / "postmaster.pid"
    lock.write_text(f"{pid}\n{data}\n", encoding="utf-8")
    return lock


@pytest.mark.parametrize("pid", [os.getpid(), 2**22 - 7], ids=["another program", "nobody"])
def test_the_lock_of_a_dead_postmaster_is_removed(tmp_path: Path, pid: int) -> None:
    lock = write_lock(tmp_path, pid)
    postgres._forget_dead_postmaster(tmp_path, Deadline(5))
    assert not lock.exists()


def test_an_empty_lock_is_removed(tmp_path: Path) -> None:
    lock = tmp_path / "postmaster.pid"
    lock.touch()
    postgres._forget_dead_postmaster(tmp_path, Deadline(5))
    assert not lock.exists()


def test_the_lock_of_a_postmaster_that_is_a_zombie_is_removed(tmp_path: Path, server_program: Path) -> None:
    with subprocess.Popen([server_program, "60"], cwd=tmp_path) as server:
        lock = write_lock(tmp_path, server.pid)
        server.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE
        postgres._forget_dead_postmaster(tmp_path, Deadline(5))
    assert not lock.exists()


def test_the_lock_of_a_living_postmaster_stays(tmp_path: Path, server_program: Path) -> None:
    with subprocess.Popen([server_program, "60"], cwd=tmp_path) as server:
        lock = write_lock(tmp_path, server.pid)
        postgres._forget_dead_postmaster(tmp_path, Deadline(3600))
        server.kill()
    assert lock.exists()


def test_a_worker_that_outlives_its_postmaster_keeps_the_lock(tmp_path: Path, server_program: Path) -> None:
    with subprocess.Popen([server_program, "60"], cwd=tmp_path) as worker:
        lock = write_lock(tmp_path, 2**22 - 7)
        postgres._forget_dead_postmaster(tmp_path, Deadline(0))
        assert lock.exists()
        threading.Timer(0.2, worker.kill).start()
        postgres._forget_dead_postmaster(tmp_path, Deadline(30))
    assert not lock.exists()


def test_a_database_without_its_password_is_refused(
    paths: StackPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "server_for", lambda *_: None)
    make_folder(postgres.data_folder(paths))
    with pytest.raises(RefusedError, match=r"password file .* is gone"):
        postgres.prepare(paths, settings().postgres, Deadline(5))
