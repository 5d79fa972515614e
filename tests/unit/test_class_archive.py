"""Archives of classes: made from a list beside their place, used when whole, ignored when not wanted."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.paths import StackPaths
from fraudctl.operations.detect.archive_classes import Archiver
from fraudctl.progress import Progress
from fraudctl.runtime.files import has_own_sum, write_own_sum
from fraudctl.runtime.jvm.class_archive import ClassArchive, class_archive, class_path_of
from fraudctl.runtime.jvm.java import Java

# Stands for a JVM that archives its classes at its end.
ARCHIVES = """\
#!/bin/sh
for argument; do
  case "$argument" in -XX:ArchiveClassesAtExit=*) echo archive > "${argument#*=}" ;; esac
done
"""


@pytest.fixture
def paths(tmp_path: Path) -> StackPaths:
    return StackPaths(home=tmp_path / "home", stack="default", cache=tmp_path / "cache")


@pytest.fixture
def jvm() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that was given a class path, as a JVM is."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "-cp", "a.jar:b.jar"])
    yield process
    process.kill()
    process.wait()


def test_the_class_path_of_a_running_jvm(jvm: subprocess.Popen[bytes]) -> None:
    assert class_path_of(jvm.pid) == "a.jar:b.jar"
    assert class_path_of(os.getpid()) is None
    jvm.kill()
    jvm.wait()
    assert class_path_of(jvm.pid) is None


def java(folder: Path, script: str = ARCHIVES) -> Java:
    program = folder / "java" / "bin" / "java"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(script, encoding="utf-8")
    program.chmod(0o755)
    return Java(folder / "java", "17.0.1", "PATH")


def archive(paths: StackPaths, tmp_path: Path, script: str = ARCHIVES) -> ClassArchive:
    jar = tmp_path / "a.jar"
    if not jar.exists():
        jar.write_bytes(b"jar")
    names = tmp_path / "classes.txt"
    names.write_text("java/lang/Object id: 0\n", encoding="utf-8")
    jars = [jar, *sorted((tmp_path / "jars").glob("*.jar"))]
    return class_archive(java(tmp_path, script), jars, paths, names)


def create(one: ClassArchive, tmp_path: Path) -> bool:
    return one.create("a.jar", tmp_path / "log", Deadline(20), StopFlag(), nice=0)


def test_the_first_run_lists_its_classes_and_later_ones_use_the_archive(
    paths: StackPaths, tmp_path: Path
) -> None:
    one = archive(paths, tmp_path)
    assert one.flags([]) == (f"-XX:DumpLoadedClassList={one.class_list}",)
    assert create(one, tmp_path)
    (flag,) = one.flags([])
    assert flag.startswith("-XX:SharedArchiveFile=")
    file = Path(flag.partition("=")[2])
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert {each.name for each in paths.cache.glob("classes/*")} == {".lock", one.folder.name}


@pytest.mark.parametrize(
    "given", ["-XX:SharedArchiveFile=/a.jsa", "-Xshare:off", "-XX:ArchiveClassesAtExit=/a"]
)
def test_options_of_a_user_s_own_come_first(paths: StackPaths, tmp_path: Path, given: str) -> None:
    assert archive(paths, tmp_path).flags(["-Xms1g", given]) == ()


def test_half_an_archive_is_not_used_and_is_made_anew(paths: StackPaths, tmp_path: Path) -> None:
    one = archive(paths, tmp_path)
    create(one, tmp_path)
    (one.folder / "classes.jsa").write_bytes(b"half")
    assert not one.exists
    assert create(one, tmp_path)


def test_what_a_killed_try_left_is_removed(paths: StackPaths, tmp_path: Path) -> None:
    left = paths.cache / "classes" / ".unfinished-1"
    left.mkdir(parents=True)
    assert create(archive(paths, tmp_path), tmp_path)
    assert not left.exists()


def test_another_jar_or_another_java_has_another_archive(paths: StackPaths, tmp_path: Path) -> None:
    first = archive(paths, tmp_path)
    (tmp_path / "a.jar").write_bytes(b"another jar")
    second = archive(paths, tmp_path)
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "b.jar").write_bytes(b"one more")
    assert len({each.folder for each in (first, second, archive(paths, tmp_path))}) == 3


def test_only_the_newest_are_kept(paths: StackPaths, tmp_path: Path) -> None:
    for size in range(1, 7):
        (tmp_path / "a.jar").write_bytes(b"x" * size)
        last = archive(paths, tmp_path)
        assert create(last, tmp_path)
    kept = [folder for folder in (paths.cache / "classes").iterdir() if folder.is_dir()]
    assert len(kept) == 4
    assert last.folder in kept


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\nexit 0\n"])
def test_an_archive_that_cannot_be_made_leaves_nothing(
    paths: StackPaths, tmp_path: Path, script: str
) -> None:
    one = archive(paths, tmp_path, script)
    assert one.wanted
    assert not create(one, tmp_path)
    assert [each for each in (paths.cache / "classes").iterdir() if each.is_dir()] == []


def test_a_failed_try_is_not_repeated_the_same_day(paths: StackPaths, tmp_path: Path) -> None:
    """Intent: where it cannot be made, or not in time, only one run a day waits for it in vain."""
    one = archive(paths, tmp_path, "#!/bin/sh\nexit 1\n")
    create(one, tmp_path)
    assert not one.wanted
    yesterday = time.time() - 90_000
    for mark in (paths.cache / "classes").glob(".tried-*"):
        os.utime(mark, (yesterday, yesterday))
    assert one.wanted
    assert create(archive(paths, tmp_path), tmp_path)
    assert not list((paths.cache / "classes").glob(".tried-*"))


def test_it_is_made_beside_a_run_and_told(
    paths: StackPaths, tmp_path: Path, jvm: subprocess.Popen[bytes]
) -> None:
    heard: list[Progress] = []
    archiver = Archiver(archive(paths, tmp_path), tmp_path / "log", heard.append)
    archiver.begin()  # in vain: nobody knows the class path
    archiver.look_at(jvm.pid)
    archiver.begin()
    archiver.begin()
    archiver.wait(StopFlag())
    archiver.end()
    assert [each.kind for each in heard if each.kind != "begun"] == ["done"]
    assert archive(paths, tmp_path).exists


def test_a_stop_is_not_delayed(paths: StackPaths, tmp_path: Path, jvm: subprocess.Popen[bytes]) -> None:
    """Observables: the JVM that archives is ended, nothing of it is left, nothing is told."""
    heard: list[Progress] = []
    one = archive(paths, tmp_path, "#!/bin/sh\nexec sleep 60\n")
    archiver = Archiver(one, tmp_path / "log", heard.append)
    archiver.look_at(jvm.pid)
    archiver.begin()
    stop = StopFlag()
    stop.set()
    archiver.wait(stop)
    archiver.end()
    assert heard == []
    assert one.wanted
    assert not list((paths.cache / "classes").glob(".unfinished-*"))


def test_no_room_costs_nothing_but_a_note(
    paths: StackPaths, tmp_path: Path, jvm: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fraudctl.runtime.jvm.class_archive.tempfile.mkdtemp", refuse)
    heard: list[Progress] = []
    archiver = Archiver(archive(paths, tmp_path), tmp_path / "log", heard.append)
    archiver.look_at(jvm.pid)
    archiver.begin()
    archiver.wait(StopFlag())
    archiver.end()
    assert [each.kind for each in heard if each.kind != "begun"] == ["note"]


def test_a_sum_tells_a_whole_file_from_others(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert not has_own_sum(file)
    file.write_bytes(b"whole")
    assert not has_own_sum(file)
    write_own_sum(file)
    assert has_own_sum(file)
    file.write_bytes(b"whol")
    assert not has_own_sum(file)
