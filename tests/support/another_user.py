"""Another user of this machine than the one who runs the tests: what they may run, what they are given."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from fraudctl.config.paths import stack_paths
from tests.support.stacks import missing

ROOT = Path(__file__).resolve().parents[2]


def dependencies() -> Path:
    """The folder of installed packages that this test run uses."""
    spec = importlib.util.find_spec("psutil")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parents[1]


def libraries() -> str:
    return f"{ROOT}{os.pathsep}{dependencies()}"


def python_for(user: int) -> str:
    """A Python of this version that `user` may run; this one may lie in root's home."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    system = shutil.which(f"python{version}", path="/usr/local/bin:/usr/bin")
    for python in filter(None, (sys.executable, system)):
        try:
            done = subprocess.run(
                [python, "-c", "import fraudctl, psutil, msgspec, psycopg, confluent_kafka"],
                env={"PYTHONPATH": libraries()},
                user=user,
                group=user,
                extra_groups=[],
                cwd="/",
                check=False,
            )
        except PermissionError:
            continue
        if done.returncode == 0:
            return python
    missing(f"no Python {version} with these packages that another user may run")


def copy_cache(to: Path, user: int) -> None:
    """What this user has downloaded, given to another one: no second download."""
    mine = stack_paths(None, "default").cache
    for name in ("jars", "ivy"):
        shutil.copytree(mine / name, to / name)
    for path in (to, *to.rglob("*")):
        os.chown(path, user, user)
