"""Jars that no Python package brings: resolved once through Ivy, checked against configs/jars.lock, kept."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fraudctl import assets, environment
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.paths import StackPaths
from fraudctl.errors import DataError, UnreachableError
from fraudctl.progress import Observe, Progress, silent
from fraudctl.runtime.files import locked, make_folder, tail
from fraudctl.runtime.jvm.java import Java
from fraudctl.runtime.jvm.spark_submit import kafka_package, spark_home
from fraudctl.runtime.process.run import LOG_LINES, run_to_end

SetName = Literal["broker", "connector", "local-fs"]
SET_NAMES: tuple[SetName, ...] = ("broker", "connector", "local-fs")

FILE_PATTERN = "[organisation]_[artifact]-[revision](-[classifier]).[ext]"
# Signs of a line in Ivy's output that says more than its last ones.
_TELLING = ("PKIX path", "UnknownHost", "Connection refused", "timed out", "not found", "No space")


@dataclass(frozen=True)
class JarSet:
    """The modules that Ivy is asked for to get one set."""

    coordinates: tuple[str, ...]
    transitive: bool = True


def jar_set(name: SetName) -> JarSet:
    """Return the modules that a set is made of; the connector follows the installed pyspark."""
    sets: dict[SetName, JarSet] = {
        # No Kafka module depends on a logging backend: without one the broker logs nothing.
        "broker": JarSet(
            ("org.apache.kafka:kafka_2.13:4.1.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3")
        ),
        "connector": JarSet((kafka_package(),)),
        "local-fs": JarSet(("com.globalmentor:hadoop-bare-naked-local-fs:0.1.0",), transitive=False),
    }
    return sets[name]


@dataclass(frozen=True)
class LockedJar:
    """One line of the lock file: a jar and its SHA-256."""

    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the name of the jar's file."""
        organisation, module, version = self.coordinates.split(":")
        return f"{organisation}_{module}-{version}.jar"


def default_lock() -> Path:
    """Return the lock file of this version, configs/jars.lock."""
    return assets.configs() / "jars.lock"


def default_ivy_settings() -> Path:
    """Return Ivy's settings of this version, configs/ivysettings.xml."""
    return assets.configs() / "ivysettings.xml"


def ivy_home(paths: StackPaths) -> Path:
    """Return the folder of Ivy's own cache, from which jars are resolved."""
    return paths.cache / "ivy"


def read_lock(lock: Path, name: SetName) -> tuple[LockedJar, ...]:
    """Return the locked jars of one set.

    Raises:
        DataError: the lock cannot be read, or does not hold the set.
    """
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        jars = tuple(LockedJar(where, digest) for key, where, digest in rows if key == name)
    except (OSError, ValueError) as error:
        raise DataError(f"the lock {lock} cannot be read", detail=str(error), hint="reinstall it") from error
    if not jars:
        raise DataError(f"the lock {lock} names no jar of the set {name!r}", hint="reinstall fraudctl")
    return jars


def ensure_jars(
    name: SetName,
    java: Java,
    paths: StackPaths,
    deadline: Deadline,
    observe: Observe = silent,
    *,
    lock: Path | None = None,
    ivy_settings: Path | None = None,
    stop: StopFlag | None = None,
) -> tuple[Path, ...]:
    """Return the verified jars of a set; they are downloaded once, as long as the lock stays as it is.

    Raises:
        DataError: a jar is not the one that the lock names.
        UnreachableError: a jar is missing and cannot be downloaded.
        NotReadyError: the deadline passed first.
    """
    expected = read_lock(lock or default_lock(), name)
    folder = _folder(paths, name, expected)
    if not folder.is_dir():
        observe(Progress("jars", "begun", f"resolving the {name} jars (once; kept in {paths.cache})"))
        turn = locked(paths.cache / "jars" / ".lock", deadline, purpose="resolving jars", stop=stop)
        with turn:
            if not folder.is_dir():
                _fill(folder, name, expected, java, paths, deadline, observe, ivy_settings, stop)
        observe(Progress("jars", "done", f"{name}: {len(expected)} jars, each as configs/jars.lock has it"))
    else:
        verify(folder, expected)
    return tuple(folder / jar.file_name for jar in expected)


def verify(folder: Path, expected: tuple[LockedJar, ...]) -> None:
    """Check that a folder holds exactly the locked jars, byte for byte.

    Raises:
        DataError: one is missing, one too many, or one differs.
    """
    remedy = f"remove {folder}, then try again: what is missing is downloaded anew"
    found = {file.name for file in folder.glob("*.jar")}
    wanted = {jar.file_name: jar for jar in expected}
    for what, names in (("is missing", wanted.keys() - found), ("is not in the lock", found - wanted.keys())):
        if names:
            raise DataError(f"the jar {min(names)} {what}", detail=f"in {folder}", hint=remedy)
    for name, jar in wanted.items():
        _verify_file(folder / name, jar, remedy)


def _verify_file(file: Path, jar: LockedJar, remedy: str) -> None:
    with file.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != jar.sha256:
        raise DataError(
            f"the jar {file.name} is not the one that was locked: it may have been tampered with",
            detail=f"locked  {jar.sha256}\nfound   {actual}\nin      {file.parent}",
            hint=remedy,
        )


def beyond_spark(jars: Iterable[Path]) -> tuple[Path, ...]:
    """Return those of some resolved jars that pyspark does not bring itself in the same version."""
    brought = {file.name for file in (spark_home() / "jars").glob("*.jar")}
    return tuple(jar for jar in jars if jar.name.partition("_")[2] not in brought)


def resolve(
    name: SetName,
    into: Path,
    java: Java,
    paths: StackPaths,
    deadline: Deadline,
    observe: Observe = silent,
    ivy_settings: Path | None = None,
    stop: StopFlag | None = None,
    file_pattern: str = FILE_PATTERN,
) -> None:
    """Let the Ivy inside pyspark put the jars of a set into a folder, unverified.

    Raises:
        UnreachableError: something cannot be found or downloaded.
        NotReadyError: the deadline passed first.
    """
    wanted = jar_set(name)
    for coordinates in wanted.coordinates:
        organisation, module, version = coordinates.split(":")
        argv = [
            str(java.executable),
            *java.options,
            "-XX:-UsePerfData",
            f"-Divy.default.ivy.user.dir={ivy_home(paths)}",
            *("-cp", f"{spark_home() / 'jars'}/*", "org.apache.ivy.Main"),
            *("-settings", str(ivy_settings or default_ivy_settings())),
            *("-cache", str(ivy_home(paths) / "cache")),
            *("-dependency", organisation, module, version),
            *([] if wanted.transitive else ["-notransitive"]),
            # The configuration `runtime` would leave out the module's own jar.
            *("-confs", "default"),
            # Relative to the working folder: a bracket in a user's path would become part of the pattern.
            *("-retrieve", file_pattern),
        ]
        _run_ivy(argv, coordinates, into, paths, deadline, observe, stop)


def _folder(paths: StackPaths, name: SetName, expected: tuple[LockedJar, ...]) -> Path:
    text = "\n".join(f"{jar.coordinates} {jar.sha256}" for jar in expected)
    return paths.cache / "jars" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _fill(
    folder: Path,
    name: SetName,
    expected: tuple[LockedJar, ...],
    java: Java,
    paths: StackPaths,
    deadline: Deadline,
    observe: Observe,
    ivy_settings: Path | None,
    stop: StopFlag | None,
) -> None:
    make_folder(ivy_home(paths) / "cache")
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{name}-"))
    try:
        unfinished.chmod(0o755)
        resolve(name, unfinished, java, paths, deadline, observe, ivy_settings, stop)
        try:
            verify(unfinished, expected)
        except DataError as error:
            # This folder is removed at once; what is wrong lies in Ivy's cache or in the repository.
            hint = f"remove {ivy_home(paths)} and try again; if it stays, the repository delivers other jars"
            raise DataError(error.message, detail=error.detail, hint=hint) from error
        if folder.is_dir():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)


def _run_ivy(
    argv: list[str],
    coordinates: str,
    into: Path,
    paths: StackPaths,
    deadline: Deadline,
    observe: Observe,
    stop: StopFlag | None,
) -> None:
    log = paths.logs / "jars.log"

    def tell() -> None:
        megabytes = sum(file.stat().st_size for file in downloads.rglob("*.jar*")) / 1e6
        observe(Progress("jars", "tick", f"resolving {coordinates} ({megabytes:.0f} MB in Ivy's cache)"))

    downloads = ivy_home(paths) / "cache"
    code = run_to_end(
        argv,
        what=f"resolving {coordinates}",
        log=log,
        deadline=deadline,
        cwd=into,
        env=environment.for_program(os.environ),
        stop=stop,
        on_wait=tell,
    )
    if code != 0:
        lines = tail(log, 80)
        telling = [line.strip() for line in lines if any(sign in line for sign in _TELLING)]
        raise UnreachableError(
            f"{coordinates} cannot be downloaded",
            detail="\n".join(telling[-LOG_LINES:] or lines[-LOG_LINES:]),
            hint=f"is the network there? A proxy is taken from HTTPS_PROXY, a company's certificates from "
            f"SSL_CERT_FILE; the whole log is {log}",
        )
