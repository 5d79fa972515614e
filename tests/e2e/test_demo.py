"""`fraudctl demo` from an empty home: verified, with a picture, and nothing left behind."""

import json
from pathlib import Path

import psutil
import pytest

from tests.conftest import NewStack
from tests.support import scenario
from tests.support.stacks import Stack

pytestmark = pytest.mark.services


def listening() -> set[tuple[int, int | None]]:
    """(port, pid) of every listening socket that this user may see."""
    return {
        (connection.laddr.port, connection.pid)
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def demo_leaves_nothing(stack: Stack, environ: dict[str, str]) -> None:
    # Blanks and letters beyond ASCII: a user's folders are not named for the convenience of programs.
    home, scratch, state = stack.home / "my user", stack.home / "tmp", stack.home / "stâte of it"
    for folder in (home, scratch, state):
        folder.mkdir()
    picture = stack.home / "demo.svg"
    env = {"HOME": str(home), "TMPDIR": str(scratch), "FRAUDCTL_HOME": str(state), **environ}
    before = listening()
    done = stack.run("demo", "--seed", "11", "--picture", str(picture), "--json", env=env, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["verification"]["verdict"] == "ok"
    planned = {fate["name"]: fate["planned"] for fate in result["fates"]}
    assert planned == {fate["name"]: fate["found"] for fate in result["fates"]}
    assert min(planned.values()) > 0
    drawn = picture.read_text(encoding="utf-8").replace("&#160;", " ")
    assert "Retail" in drawn
    assert "A simulated day, sent in 12 s; each column is one slice of its event time." in drawn
    assert not scenario.leftovers(stack.home)
    assert not {port for port, pid in listening() - before if pid is None or not psutil.pid_exists(pid)}
    assert sorted(stack.home.iterdir()) == sorted([home, scratch, state, picture])
    assert not list(scratch.iterdir())
    assert not [file for file in home.rglob("*") if file.is_file() and ".cache" not in file.parts]
    assert not list((state / "stacks").iterdir())


def test_demo(new_stack: NewStack) -> None:
    demo_leaves_nothing(new_stack(), {})


@pytest.mark.slow
def test_demo_without_system_java(new_stack: NewStack, without_java: dict[str, str]) -> None:
    """Jars are cached by now; the only Java left is the one in the wheel."""
    new_stack().up()
    demo_leaves_nothing(new_stack(), without_java)


def test_an_interrupted_demo_leaves_nothing(new_stack: NewStack) -> None:
    stack = new_stack()
    demo = scenario.start(stack, "demo")
    records = stack.home / "stacks" / "demo" / "run" / "detector.process.json"
    scenario.wait_for("the detector of the demo", records.exists)
    demo.interrupt()
    demo.finish(codes=(130,))
    assert not scenario.leftovers(stack.home)
    assert not (stack.home / "stacks" / "demo").exists()


@pytest.mark.slow
def test_kept_demo_can_be_looked_at(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.run("demo", "--keep", "--seed", "3")
    try:
        status = json.loads(stack.run("status", "--stack", "demo", "--json", check=False).stdout)
        assert status["services"]["kafka"]["state"] == "running"
        verified = stack.run("verify-idempotency", "--stack", "demo", "--profile", "demo", "--json")
        assert json.loads(verified.stdout)["verdict"] == "ok"
    finally:
        stack.run("down", "--stack", "demo", "--volumes", "--yes")
    assert not Path(stack.home / "stacks" / "demo").exists()
