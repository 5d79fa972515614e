"""The detector's JVM code: compiled once from the package's Scala, kept, and checked before every use."""

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from fraudctl import assets, environment
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.paths import StackPaths
from fraudctl.errors import DataError, FraudctlError, NotReadyError, RefusedError
from fraudctl.progress import Observe, Progress, silent
from fraudctl.runtime.files import has_own_sum, locked, make_folder, tail, write_own_sum
from fraudctl.runtime.jvm.java import Java
from fraudctl.runtime.jvm.spark_submit import spark_home, spark_version
from fraudctl.runtime.process.run import run_to_end

JAR = "fraudctl-detector.jar"
COMPILE_SECONDS = 300.0
# The class file version that the oldest supported Java loads, whichever Java compiles.
_CLASS_FILES = "17"
# The compiler runs for seconds: optimizing its own code does not pay.
_JVM_FLAGS = ("-XX:-UsePerfData", "-Xmx512m", "-Xss4m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_SHOWN_LINES = 12


def sources() -> tuple[Path, ...]:
    """Return the Scala files of the package, in a fixed order.

    Raises:
        DataError: there is none.
    """
    found = tuple(sorted((assets.PACKAGE / "detector" / "jvm").glob("*.scala")))
    if not found:
        raise DataError("the detector's Scala sources are missing", hint="install fraudctl again")
    return found


def ensure_jvm_code(
    java: Java,
    paths: StackPaths,
    deadline: Deadline,
    observe: Observe = silent,
    stop: StopFlag | None = None,
) -> Path:
    """Return the compiled jar; compile it if the cache holds none, or one that fails its checksum.

    Raises:
        RefusedError: the cache cannot be written to.
        NotReadyError: pyspark or its Scala compiler is missing, or the deadline passed first.
        DataError: the sources do not compile.
    """
    files = sources()
    folder = paths.cache / "jars" / f"jvm-{_digest(files, java)}"
    if has_own_sum(folder / JAR):
        return folder / JAR
    observe(Progress("jvm code", "begun", f"compiling the detector's Scala (once; kept in {paths.cache})"))
    try:
        with locked(
            paths.cache / "jars" / ".jvm.lock", deadline, purpose="compiling the JVM code", stop=stop
        ):
            if not has_own_sum(folder / JAR):
                _fill(folder, files, java, paths, deadline, stop)
    except OSError as error:
        raise RefusedError(
            f"the compiled JVM code cannot be written to {folder.parent}",
            detail=error.strerror or str(error),
            hint="make room there, or let FRAUDCTL_CACHE_DIR name another folder",
        ) from error
    observe(Progress("jvm code", "done", f"{JAR} compiled by the Scala compiler of pyspark"))
    return folder / JAR


def _digest(files: tuple[Path, ...], java: Java) -> str:
    """Return a digest of the sources, Spark's version and Java's feature release, which identifies a jar."""
    release = re.match(r"\d+", java.version)
    text = hashlib.sha256(f"{spark_version()} {release and release[0]} {_CLASS_FILES}".encode())
    for file in files:
        text.update(f"\n{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    return text.hexdigest()[:16]


def _fill(
    folder: Path,
    files: tuple[Path, ...],
    java: Java,
    paths: StackPaths,
    deadline: Deadline,
    stop: StopFlag | None,
) -> None:
    """Compile into another folder, then rename it: nobody ever sees half a jar."""
    make_folder(folder.parent)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".jvm-"))
    try:
        unfinished.chmod(0o755)
        jar = unfinished / JAR
        _compile(jar, files, java, paths, deadline, stop)
        jar.chmod(0o644)
        write_own_sum(jar)
        if folder.is_dir():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _compile(
    jar: Path,
    files: tuple[Path, ...],
    java: Java,
    paths: StackPaths,
    deadline: Deadline,
    stop: StopFlag | None,
) -> None:
    jars = spark_home() / "jars"
    if not any(jars.glob("scala-compiler-*.jar")):
        raise NotReadyError(
            "pyspark has no Scala compiler",
            detail=f"there is no scala-compiler-*.jar in {jars}",
            hint="install fraudctl again, with its dependencies",
        )
    log = paths.logs / "jvm-code.log"
    argv = [
        *(str(java.executable), *_JVM_FLAGS, "-cp", f"{jars}/*", "scala.tools.nsc.Main"),
        *("-nowarn", "-usejavacp", f"-Xunchecked-java-output-version:{_CLASS_FILES}", "-d", str(jar)),
        *(str(file) for file in files),
    ]
    code = run_to_end(
        argv,
        what="compiling the JVM code",
        log=log,
        deadline=deadline,
        cwd=jar.parent,
        env=environment.for_program(os.environ),
        stop=stop,
    )
    if code != 0 or not jar.is_file():
        raise _failure(tail(log, _SHOWN_LINES), log, paths)


def _failure(lines: list[str], log: Path, paths: StackPaths) -> FraudctlError:
    message, detail = "the detector's JVM code cannot be compiled", "\n".join(lines)
    if "No space left on device" in detail:
        hint = f"make room on the file system of {paths.cache}, or set FRAUDCTL_CACHE_DIR to another folder"
        return RefusedError(message, detail=detail, hint=hint)
    return DataError(message, detail=detail, hint=f"install fraudctl again; the whole log is {log}")
