"""Archives of the classes that a JVM loads (AppCDS), made once for a class path and used from then on.

Java maps an archive instead of reading and verifying some 15,000 classes. The first run writes down which
classes it loads (-XX:DumpLoadedClassList); a short JVM of its own loads them again and archives them at its
end (-XX:ArchiveClassesAtExit, JEP 350). A JVM for which an archive does not fit loads its classes as usual.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from fraudctl import environment
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.paths import StackPaths
from fraudctl.runtime.files import has_own_sum, is_locked, locked, make_folder, write_own_sum
from fraudctl.runtime.jvm.java import Java
from fraudctl.runtime.process.run import run_to_end

_FILE = "classes.jsa"
# Archives to keep, of 170 MB each; those left by earlier versions of Java, Spark or fraudctl are removed.
_KEPT = 4
_RETRY_SECONDS = 86_400.0
_LOAD = "fraudctl.LoadClasses"
_FLAGS = ("-XX:-UsePerfData", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xlog:disable")
# Options of the user's own that would contradict ours.
_OWN = ("SharedArchiveFile", "ArchiveClassesAtExit", "SharedClassListFile", "DumpLoadedClassList", "-Xshare")


@dataclass(frozen=True)
class ClassArchive:
    """The archive for one Java and one set of jars, existing or not; the first run writes `class_list`."""

    java: Java
    folder: Path
    class_list: Path

    @property
    def exists(self) -> bool:
        """Tell whether the archive exists and has its checksum."""
        return has_own_sum(self.folder / _FILE)

    @property
    def wanted(self) -> bool:
        """Tell whether to make the archive now.

        That is so if it does not exist, nobody is making it, and no try of the last 24 hours has failed.
        """
        try:
            tried_seconds_ago = time.time() - self._tried.stat().st_mtime
        except OSError:
            tried_seconds_ago = _RETRY_SECONDS
        return tried_seconds_ago >= _RETRY_SECONDS and not self.exists and not is_locked(self._lock)

    @property
    def _lock(self) -> Path:
        return self.folder.parent / ".lock"

    @property
    def _tried(self) -> Path:
        """Return a file that exists from the start of a try until it succeeds or is stopped on request."""
        return self.folder.parent / f".tried-{self.folder.name}"

    def flags(self, given: Sequence[str]) -> tuple[str, ...]:
        """Return the options for a JVM's start; none if the user's own options already choose an archive."""
        if any(own in option for option in given for own in _OWN):
            return ()
        if self.exists:
            return (f"-XX:SharedArchiveFile={self.folder / _FILE}",)
        return (f"-XX:DumpLoadedClassList={self.class_list}",)

    def create(self, class_path: str, log: Path, deadline: Deadline, stop: StopFlag, nice: int) -> bool:
        """Make the archive from the class list, and return whether it exists now.

        Takes 25 seconds of a processor, half of them to verify the classes; `nice` as nice(1) counts.
        `class_path` is that of the run which wrote the list: Java maps an archive for no other.

        Raises:
            NotReadyError: the deadline passed first.
            RefusedError: it cannot be written.
            OSError: it cannot be written.
        """
        make_folder(self.folder.parent)
        with locked(self._lock, deadline, purpose="archiving classes", stop=stop):
            if not self.exists and self.class_list.is_file():
                self._tried.touch()
                try:
                    self._fill(class_path, log, deadline, stop, nice)
                finally:
                    if stop.is_set or self.exists:
                        self._tried.unlink(missing_ok=True)
        return self.exists

    def _fill(self, class_path: str, log: Path, deadline: Deadline, stop: StopFlag, nice: int) -> None:
        """Write into another folder, then rename it: nobody ever sees half an archive. The lock is held."""
        for left in self.folder.parent.glob(".unfinished-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=".unfinished-"))
        try:
            unfinished.chmod(0o755)
            names = shutil.copyfile(self.class_list, unfinished / "classes.txt")
            archive = unfinished / _FILE
            argv = [
                *(str(self.java.executable), *_FLAGS, f"-XX:ArchiveClassesAtExit={archive}"),
                *("-cp", class_path, _LOAD, str(names)),
            ]
            what = "archiving classes"
            code = run_to_end(
                argv,
                what=what,
                log=log,
                deadline=deadline,
                cwd=unfinished,
                env=environment.for_program(os.environ),
                stop=stop,
                nice=nice,
            )
            names.unlink()
            if code != 0 or not archive.is_file():
                return
            archive.chmod(0o644)
            write_own_sum(archive)
            if self.folder.is_dir():
                shutil.rmtree(self.folder)
            unfinished.rename(self.folder)
            self._remove_old()
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _remove_old(self) -> None:
        made = sorted(self.folder.parent.glob("*/"), key=lambda folder: -folder.stat().st_mtime)
        for folder in [each for each in made if not each.name.startswith(".")][_KEPT:]:
            shutil.rmtree(folder, ignore_errors=True)


def class_archive(java: Java, jars: Iterable[Path], paths: StackPaths, class_list: Path) -> ClassArchive:
    """Return the archive, named by what Java compares when it maps one.

    That is Java itself, and the name, size and time of each jar.
    """
    text = [java.version, str(java.home)]
    for jar in jars:
        found = jar.stat()
        text.append(f"{jar} {found.st_size} {found.st_mtime_ns}")
    digest = hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]
    return ClassArchive(java, paths.cache / "classes" / digest, class_list)


def class_path_of(pid: int) -> str | None:
    """Return the class path that a running JVM was given; None if there is no such process any more."""
    try:
        argv = psutil.Process(pid).cmdline()
        return argv[argv.index("-cp") + 1]
    except (psutil.Error, ValueError, IndexError):
        return None
