"""The first process of the detector's container, tried outside of one: exit codes, TERM, end of input."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fraudctl.runtime.docker.detector import entrypoint

SECONDS = 30.0
WAITS = """\
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
print("ready", flush=True)
signal.pause()
"""


def begin(script: Path, *command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, entrypoint.__file__, str(script), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Ends with 9 on TERM; a shell is wrapped around it, as the JVM is around the detector."""
    file = tmp_path / "app.py"
    file.write_text(WAITS, encoding="utf-8")
    return file


def test_its_exit_code_is_the_command_s(tmp_path: Path) -> None:
    process = begin(tmp_path / "none.py", "sh", "-c", "exit 7")
    assert process.wait(SECONDS) == 7
    assert process.stdin
    process.stdin.close()


def test_term_reaches_the_script_behind_the_command(script: Path) -> None:
    process = begin(script, "sh", "-c", f'"{sys.executable}" "{script}"; exit $?')
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait(SECONDS) == 9


def test_all_ends_when_nobody_attends_it_any_more(script: Path) -> None:
    process = begin(script, sys.executable, str(script))
    assert process.stdout and process.stdin and process.stderr
    assert process.stdout.readline() == "ready\n"
    process.stdin.close()
    assert process.wait(SECONDS) == 137
    # In a container the kernel ends the rest with its first process; here the test does.
    for left in psutil.process_iter(["cmdline"]):
        if (left.info["cmdline"] or [])[1:2] == [str(script)]:
            left.kill()
    assert "nobody attends" in process.stderr.read()
