"""The detector's JVM code: compiled once, checked before use, refused with a remedy when it cannot be."""

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from fraudctl import assets
from fraudctl.clock import Deadline
from fraudctl.config.paths import StackPaths, stack_paths
from fraudctl.errors import DataError, NotReadyError, RefusedError
from fraudctl.runtime.jvm import compile_scala
from fraudctl.runtime.jvm.compile_scala import COMPILE_SECONDS, JAR, ensure_jvm_code
from fraudctl.runtime.jvm.java import Java, find_java

NO_JAVA = Java(Path("/nonexistent"), "17.0.1", "PATH")


@pytest.fixture
def paths(tmp_path: Path) -> StackPaths:
    return StackPaths(home=tmp_path / "home", stack="default", cache=tmp_path / "cache")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A single Scala file that stands for the package's."""
    monkeypatch.setattr(assets, "PACKAGE", tmp_path / "package")
    file = tmp_path / "package" / "detector" / "jvm" / "One.scala"
    file.parent.mkdir(parents=True)
    file.write_text('object One { val number: Int = "text" }\n', encoding="utf-8")
    return file


@pytest.fixture
def compilations(source: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A compiler that takes no time; each of its runs adds the jar that it wrote."""
    runs: list[Path] = []

    def compile_at_once(jar: Path, files: tuple[Path, ...], *_: object) -> None:
        assert files == (source,)
        jar.write_bytes(b"compiled")
        runs.append(jar)

    monkeypatch.setattr(compile_scala, "_compile", compile_at_once)
    return runs


def compiled(java: Java, paths: StackPaths) -> Path:
    return ensure_jvm_code(java, paths, Deadline(COMPILE_SECONDS))


def test_the_package_compiles(paths: StackPaths) -> None:
    java = find_java(stack_paths(None, "tests"), os.environ)
    with zipfile.ZipFile(compiled(java, paths)) as jar:
        assert any(name.startswith("fraudctl/") and name.endswith(".class") for name in jar.namelist())


def test_a_source_that_does_not_compile_is_told_with_its_line(paths: StackPaths, source: Path) -> None:
    java = find_java(stack_paths(None, "tests"), os.environ)
    with pytest.raises(DataError, match="cannot be compiled") as caught:
        compiled(java, paths)
    assert "One.scala:1: error: type mismatch" in caught.value.detail
    assert str(paths.logs / "jvm-code.log") in caught.value.hint
    assert [file.name for file in (paths.cache / "jars").iterdir()] == [".jvm.lock"]


def test_what_was_compiled_is_used_again(paths: StackPaths, compilations: list[Path]) -> None:
    assert compiled(NO_JAVA, paths) == compiled(NO_JAVA, paths)
    assert len(compilations) == 1


@pytest.mark.parametrize("damage", [b"", b"compi", b"compiled by somebody else"])
def test_a_jar_that_is_not_what_was_compiled_is_compiled_again(
    paths: StackPaths, compilations: list[Path], damage: bytes
) -> None:
    jar = compiled(NO_JAVA, paths)
    jar.write_bytes(damage)
    assert compiled(NO_JAVA, paths) == jar
    assert jar.read_bytes() == b"compiled"
    jar.with_name(f"{JAR}.sha256").unlink()
    compiled(NO_JAVA, paths)
    assert len(compilations) == 3


def test_another_source_and_another_java_make_another_jar(
    paths: StackPaths, compilations: list[Path], source: Path
) -> None:
    first = compiled(NO_JAVA, paths)
    assert compiled(replace(NO_JAVA, version="17.0.2"), paths) == first
    newer = compiled(replace(NO_JAVA, version="21.0.1"), paths)
    source.write_text("object One\n", encoding="utf-8")
    changed = compiled(NO_JAVA, paths)
    assert len({first, newer, changed}) == len(compilations) == 3
    assert first.is_file()


def test_a_pyspark_without_the_compiler_is_named(
    paths: StackPaths, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile_scala, "spark_home", lambda: tmp_path)
    with pytest.raises(NotReadyError, match="no Scala compiler") as caught:
        compiled(NO_JAVA, paths)
    assert "install fraudctl again" in caught.value.hint


def test_a_package_without_sources_is_named(paths: StackPaths, source: Path) -> None:
    source.unlink()
    with pytest.raises(DataError, match="sources are missing"):
        compiled(NO_JAVA, paths)


def test_a_cache_that_is_full_is_told_with_the_way_out(paths: StackPaths) -> None:
    lines = ["error: error while writing One.class: No space left on device"]
    error = compile_scala._failure(lines, paths.logs / "jvm-code.log", paths)
    assert (error.exit_code, "FRAUDCTL_CACHE_DIR" in error.hint) == (3, True)


def test_a_cache_that_cannot_be_written_to_is_told(
    paths: StackPaths, compilations: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(compile_scala.tempfile, "mkdtemp", refuse)
    with pytest.raises(RefusedError, match="cannot be written") as caught:
        compiled(NO_JAVA, paths)
    assert "FRAUDCTL_CACHE_DIR" in caught.value.hint
