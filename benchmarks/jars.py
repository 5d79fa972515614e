"""Jars that only benchmarks need: fetched once by the Ivy inside pyspark, and checked against jars.lock."""

import hashlib
import os
import subprocess
from pathlib import Path

from benchmarks.errors import BenchError, UnavailableError
from benchmarks.services import ROOT
from fraudctl.config.paths import stack_paths
from fraudctl.runtime.jvm.java import find_java
from fraudctl.runtime.jvm.spark_submit import spark_home

_LOCK = Path(__file__).resolve().parent / "jars.lock"
_SECONDS = 600.0


def locked_jar(module: str, cache: Path) -> Path:
    """Return the jar of a module named in the lock, without what it depends on.

    Raises:
        UnavailableError: it cannot be downloaded.
        BenchError: it is not the jar that was locked.
    """
    lines = [line for line in _LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = {coordinates.split(":")[1]: (coordinates, digest) for coordinates, digest in map(str.split, lines)}
    coordinates, digest = rows[module]
    version = coordinates.split(":")[2]
    folder = cache / "jars"
    jar = folder / f"{module}-{version}.jar"
    if not jar.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(coordinates, folder)
    with jar.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != digest:
        raise BenchError(f"{jar} is not the jar that was locked, but {found}; remove it and try again")
    return jar


def _fetch(coordinates: str, folder: Path) -> None:
    paths = stack_paths(None, "default")
    java = find_java(paths, os.environ)
    ivy = paths.cache / "ivy"
    argv = [
        *(str(java.executable), *java.options, f"-Divy.default.ivy.user.dir={ivy}"),
        *("-cp", f"{spark_home() / 'jars'}/*", "org.apache.ivy.Main"),
        *("-settings", str(ROOT / "configs" / "ivysettings.xml"), "-cache", str(ivy / "cache")),
        *("-dependency", *coordinates.split(":"), "-notransitive", "-confs", "default"),
        *("-retrieve", "[artifact]-[revision].[ext]"),
    ]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"{coordinates} cannot be downloaded: {done.stdout.strip()[-300:]}")
