"""Stacks of their own for tests: the command line spawned as a user would, on free ports, in a fresh home."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from fraudctl.clock import Deadline
from fraudctl.config.paths import stack_paths
from fraudctl.runtime.jvm.compile_scala import ensure_jvm_code
from fraudctl.runtime.jvm.jars import SET_NAMES, ensure_jars
from fraudctl.runtime.jvm.java import find_java
from fraudctl.runtime.ports import free_port

SECONDS = 240.0
# Tests start Spark some hundred times and keep it for seconds: compiling for a long run does not pay then.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1"
# The jars are downloaded once per machine, and here only if nobody has done so before.
DOWNLOAD_SECONDS = 900.0


@dataclass(frozen=True)
class Stack:
    """One stack under test; `env` is the whole environment that its commands see."""

    home: Path
    env: dict[str, str]
    command: tuple[str, ...] = (sys.executable, "-m", "fraudctl")
    # Who runs its commands, when that is not whoever runs the tests.
    user: int | None = None

    def run(
        self,
        *arguments: str,
        check: bool = True,
        timeout: float = SECONDS,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: int | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; with `check`, any exit code but 0 fails the test with its output."""
        user = user or self.user
        identity: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
        done = subprocess.run(
            [*self.command, *arguments],
            env={**self.env, **(env or {})},
            cwd=cwd or self.home,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
            **identity,
        )
        if check and done.returncode != 0:
            pytest.fail(f"fraudctl {' '.join(arguments)} ended with {done.returncode}\n{done.stderr}")
        return done

    def json(self, *arguments: str, check: bool = True) -> dict[str, Any]:
        """The JSON that one command prints."""
        document: dict[str, Any] = json.loads(self.run(*arguments, "--json", check=check).stdout)
        return document

    def up(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`fraudctl up`; where the jars cannot be had the test is skipped (failed when CI is set)."""
        done = self.run("up", *arguments, check=False, timeout=DOWNLOAD_SECONDS, **options)
        for reason in ("cannot be downloaded", "there is no Java"):
            if done.returncode != 0 and reason in done.stderr:
                missing(done.stderr)
        if done.returncode != 0:
            pytest.fail(f"fraudctl up ended with {done.returncode}\n{done.stderr}")
        return done

    def down(self) -> None:
        self.run("down", "--volumes", "--yes")

    @property
    def root(self) -> Path:
        return self.home / "stacks" / self.env.get("FRAUDCTL_STACK", "default")

    @property
    def kafka(self) -> str:
        """Where the broker answers, as `status --json` says."""
        return str(self.json("status", check=False)["services"]["kafka"]["bootstrap_servers"])

    @property
    def postgres(self) -> str:
        """The database's address with its password, for a client in the test."""
        found = self.json("status", check=False)["services"]["postgres"]
        password = Path(found["password_file"]).read_text(encoding="utf-8").strip()
        return f"postgresql://{found['user']}:{password}@{found['host']}:{found['port']}/{found['database']}"


def missing(reason: str) -> NoReturn:
    """Something that this test needs is not on this machine."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def fill_cache() -> Path:
    """Download and compile what this machine lacks; return the folder that holds it."""
    paths = stack_paths(None, "default")
    java = find_java(paths, os.environ)
    for name in SET_NAMES:
        ensure_jars(name, java, paths, Deadline(DOWNLOAD_SECONDS))
    ensure_jvm_code(java, paths, Deadline(DOWNLOAD_SECONDS))
    return paths.cache


def make_home() -> Path:
    """A folder that every user may enter: pytest's own are closed to the user PostgreSQL runs as."""
    home = Path(tempfile.mkdtemp(prefix="fraudctl-test-", dir="/tmp"))
    home.chmod(0o755)
    return home


def new_stack(
    home: Path, environ: Mapping[str, str] | None = None, command: Sequence[str] | None = None
) -> Stack:
    """A stack in `home` on free ports, not started yet; settings of this shell do not reach it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FRAUDCTL_", "PG")) or name == "FRAUDCTL_CACHE_DIR"
    }
    ports: list[int] = []
    for _ in range(3):
        ports.append(free_port(frozenset(ports)))
    kept |= {
        "FRAUDCTL_HOME": str(home),
        "FRAUDCTL_PROFILE": "local",
        "FRAUDCTL_KAFKA__PORT": str(ports[0]),
        "FRAUDCTL_KAFKA__CONTROLLER_PORT": str(ports[1]),
        "FRAUDCTL_POSTGRES__PORT": str(ports[2]),
        "FRAUDCTL_SPARK__JAVA_OPTIONS": JAVA_OPTIONS,
        **(environ or {}),
    }
    return Stack(home, kept, tuple(command)) if command else Stack(home, kept)


def discard(stack: Stack) -> None:
    """Stop whatever runs and remove the home, even after a test has failed half-way."""
    try:
        stack.down()
    finally:
        shutil.rmtree(stack.home)
