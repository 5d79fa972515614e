"""The jar lock: exactly those jars, byte for byte; what is cached needs neither Java nor network."""

import hashlib
from importlib.metadata import version
from pathlib import Path

import pytest

from fraudctl.clock import Deadline
from fraudctl.config.paths import StackPaths
from fraudctl.errors import DataError
from fraudctl.runtime.jvm import jars
from fraudctl.runtime.jvm.jars import SET_NAMES, LockedJar, ensure_jars, jar_set, read_lock, verify
from fraudctl.runtime.jvm.java import Java

NO_JAVA = Java(Path("/nonexistent"), "17", "PATH")


def locked(folder: Path, *names: str) -> tuple[LockedJar, ...]:
    """Jars with some content in `folder`, and the lock that fits them."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name in names:
        jar = LockedJar(f"org.example:{name}:1.0", hashlib.sha256(name.encode()).hexdigest())
        (folder / jar.file_name).write_bytes(name.encode())
        found.append(jar)
    return tuple(found)


def test_every_set_is_locked_with_all_it_asks_for() -> None:
    lock = jars.default_lock()
    rows = [line for line in lock.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert rows == sorted(rows)
    for name in SET_NAMES:
        held = read_lock(lock, name)
        assert {jar.coordinates for jar in held} >= set(jar_set(name).coordinates)
        assert len({jar.file_name for jar in held}) == len(held)
        assert all(len(jar.sha256) == 64 for jar in held)
    assert sum(len(read_lock(lock, name)) for name in SET_NAMES) == len(rows)


def test_the_connector_has_the_version_of_pyspark() -> None:
    (connector,) = jar_set("connector").coordinates
    assert connector == f"org.apache.spark:spark-sql-kafka-0-10_2.13:{version('pyspark')}"


def test_exactly_the_locked_jars_pass(tmp_path: Path) -> None:
    verify(tmp_path, locked(tmp_path, "a", "b"))


def test_a_tampered_jar_is_refused_by_name(tmp_path: Path) -> None:
    expected = locked(tmp_path, "a", "b")
    (tmp_path / "org.example_b-1.0.jar").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"org\.example_b-1\.0\.jar is not the one that was locked") as caught:
        verify(tmp_path, expected)
    assert expected[1].sha256 in caught.value.detail
    assert str(tmp_path) in caught.value.hint


def test_a_missing_jar_and_one_too_many_are_refused(tmp_path: Path) -> None:
    expected = locked(tmp_path, "a", "b")
    locked(tmp_path, "c")
    with pytest.raises(DataError, match=r"org\.example_c-1\.0\.jar is not in the lock"):
        verify(tmp_path, expected)
    (tmp_path / "org.example_c-1.0.jar").unlink()
    (tmp_path / "org.example_a-1.0.jar").unlink()
    with pytest.raises(DataError, match=r"org\.example_a-1\.0\.jar is missing"):
        verify(tmp_path, expected)


def cached(tmp_path: Path) -> tuple[StackPaths, Path]:
    """A cache that holds the set `broker` of a lock of its own."""
    paths = StackPaths(home=tmp_path / "home", stack="default", cache=tmp_path / "cache")
    expected = locked(tmp_path / "made", "a", "b")
    lock = tmp_path / "jars.lock"
    lines = [f"broker {jar.coordinates} {jar.sha256}" for jar in expected]
    lock.write_text("# comment\n" + "\n".join(lines) + "\n", encoding="utf-8")
    folder = jars._folder(paths, "broker", expected)
    folder.parent.mkdir(parents=True)
    (tmp_path / "made").rename(folder)
    return paths, lock


def test_cached_jars_need_no_java(tmp_path: Path) -> None:
    paths, lock = cached(tmp_path)
    found = ensure_jars("broker", NO_JAVA, paths, Deadline(5), lock=lock)
    assert [file.name for file in found] == ["org.example_a-1.0.jar", "org.example_b-1.0.jar"]


def test_cached_jars_are_checked_each_time(tmp_path: Path) -> None:
    paths, lock = cached(tmp_path)
    (jar, _) = ensure_jars("broker", NO_JAVA, paths, Deadline(5), lock=lock)
    jar.write_bytes(b"x")
    with pytest.raises(DataError, match="tampered"):
        ensure_jars("broker", NO_JAVA, paths, Deadline(5), lock=lock)


@pytest.mark.parametrize("text", ["", "# a comment\n", "broker too few\nbroker\n", "connector a:b:1 00\n"])
def test_a_lock_without_the_set_is_refused(tmp_path: Path, text: str) -> None:
    lock = tmp_path / "jars.lock"
    lock.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="lock"):
        read_lock(lock, "broker")


def test_what_pyspark_brings_is_not_handed_over_again() -> None:
    """Intent: neither a second copy on the class path, nor 50 MB more for every executor."""
    found = [Path(jar.file_name) for jar in read_lock(jars.default_lock(), "connector")]
    modules = {file.name.partition("_")[2] for file in jars.beyond_spark(found)}
    assert any(name.startswith("spark-sql-kafka-0-10_2.13-") for name in modules)
    assert any(name.startswith("kafka-clients-") for name in modules)
    assert not any(name.startswith(("hadoop-", "scala-library-", "slf4j-")) for name in modules)
