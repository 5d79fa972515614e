"""Python packages of the detector for an image that lacks them: fetched by pip once, then mounted."""

import hashlib
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from fraudctl import environment
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.paths import StackPaths
from fraudctl.errors import UnreachableError
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.files import locked, make_folder, tail
from fraudctl.runtime.process.run import LOG_LINES, run_to_end

# Module to distribution: what the detector imports, apart from pyspark, which the image has.
NEEDED = {
    "confluent_kafka": "confluent-kafka",
    "msgspec": "msgspec",
    "psutil": "psutil",
    "psycopg": "psycopg[binary]",
    "pydantic": "pydantic",
    "pydantic_settings": "pydantic-settings",
    "tenacity": "tenacity",
    "yaml": "pyyaml",
}
# Wheels for a C library of 2018 or newer; the images have a newer one.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")


def requirements() -> list[str]:
    """Return the packages in the versions that are installed here."""
    return [f"{name}=={version(name.partition('[')[0])}" for name in NEEDED.values()]


def packages_folder(paths: StackPaths) -> Path:
    """Return the folder that holds one folder of packages for each kind of image."""
    return paths.cache / "packages"


def ensure_packages(
    python: tuple[int, int], machine: str, paths: StackPaths, deadline: Deadline, observe: Observe
) -> Path:
    """Return a folder with all packages for this Python on this kind of machine; fetch them at most once.

    Raises:
        UnreachableError: something cannot be fetched.
        NotReadyError: the deadline passed first.
    """
    wanted = requirements()
    text = "\n".join([*wanted, f"{python[0]}.{python[1]}", machine])
    folder = packages_folder(paths) / hashlib.sha256(text.encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    make_folder(folder.parent)
    with locked(folder.parent / ".lock", deadline, purpose="fetching Python packages"):
        if not folder.is_dir():
            what = f"Python packages for the container (once; kept in {folder.parent})"
            observe(Progress("packages", "begun", f"fetching {what}"))
            _fill(folder, wanted, python, machine, paths, deadline)
            observe(Progress("packages", "done", f"{len(wanted)} packages and what they need"))
    return folder


def _fill(
    folder: Path,
    wanted: list[str],
    python: tuple[int, int],
    machine: str,
    paths: StackPaths,
    deadline: Deadline,
) -> None:
    log = paths.logs / "packages.log"
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unfinished-"))
    try:
        unfinished.chmod(0o755)
        argv = [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
            *("--target", str(unfinished), "--only-binary", ":all:", "--implementation", "cp"),
            *("--python-version", f"{python[0]}.{python[1]}"),
            *(part for name in _PLATFORMS for part in ("--platform", f"{name}_{machine}")),
            *wanted,
        ]
        code = run_to_end(
            argv,
            what="fetching Python packages",
            log=log,
            deadline=deadline,
            cwd=folder.parent,
            env=environment.for_pip(os.environ),
            stop=StopFlag(),
        )
        if code != 0:
            raise UnreachableError(
                "the Python packages of the detector cannot be fetched",
                detail="\n".join(tail(log, LOG_LINES)),
                hint="pip must be able to reach its index; or build an image that has them: "
                "compose/spark/Dockerfile, then docker.spark_image",
            )
        unfinished.rename(folder)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
