"""A JVM that dies says why: the first cause of its end is in the message, not the last line of its log."""

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.endpoints import Endpoints
from tests.conftest import NewStack
from tests.support.commands import fraudctl
from tests.support.databases import temporary_database

pytestmark = pytest.mark.services


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"spark__java_options": "-XX:MaxMetaspaceSize=nonsense"}, "MaxMetaspaceSize=nonsense"),
        ({"spark__java_options": "-javaagent:/nonexistent.jar"}, "Error opening zip file"),
        ({"spark__driver_memory": "900000g"}, "heap"),
    ],
)
def test_a_detector_that_cannot_start_names_the_cause(
    endpoints: Endpoints, tmp_path: Path, settings: dict[str, str], cause: str
) -> None:
    with temporary_database(endpoints.postgres) as database:
        own = replace(endpoints, postgres=database)
        assert fraudctl(own, tmp_path, "migrate").returncode == 0
        done = fraudctl(own, tmp_path, "detect", "--until-caught-up", **settings)
    assert done.returncode == 4
    first = done.stderr.partition("error: ")[2].splitlines()[0]
    assert "ended with exit code 1 before it could say why" in first
    assert cause in first
    assert "hint: correct spark.java_options or spark.driver_memory" in done.stderr


def test_a_broker_that_cannot_start_names_the_cause(new_stack: NewStack) -> None:
    mine = new_stack({"FRAUDCTL_KAFKA__HEAP_MB": "900000000"})
    log = mine.root / "logs" / "kafka.log"
    log.parent.mkdir(parents=True)
    log.write_text("an older run: No space left on device\n", encoding="utf-8")
    done = mine.run("up", check=False)
    assert done.returncode == 5
    assert "kafka ended with exit code 1 while it was starting" in done.stderr
    cause = done.stderr.partition("first cause: ")[2].splitlines()[0]
    assert "heap" in cause


def test_a_detector_that_was_killed_says_by_which_signal(endpoints: Endpoints, tmp_path: Path) -> None:
    """The kernel kills like this when memory is short."""
    with temporary_database(endpoints.postgres) as database:
        own = replace(endpoints, postgres=database)
        assert fraudctl(own, tmp_path, "migrate").returncode == 0
        stop, deadline, killed = StopFlag(), Deadline(100), False

        def kill() -> bool:
            found = subprocess.run(
                ["pgrep", "-f", str(tmp_path / "stacks" / "default" / "run" / "detector.job.json")],
                capture_output=True,
                text=True,
                check=False,
            ).stdout.split()
            for pid in found:
                os.kill(int(pid), signal.SIGKILL)
            return bool(found)

        def wait_and_kill() -> None:
            nonlocal killed
            while not killed and not deadline.expired and not stop.wait(0.2):
                killed = kill()

        killer = Thread(target=wait_and_kill, daemon=True)
        killer.start()
        done = fraudctl(own, tmp_path, "detect", "--until-caught-up")
        stop.set()
        killer.join()
    assert killed
    assert done.returncode == 4
    assert "was killed by SIGKILL" in done.stderr
