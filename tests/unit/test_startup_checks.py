"""What is checked on this machine before anything starts, each trouble made anew."""

import codecs
import os
import pwd
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fraudctl.config.load import load
from fraudctl.config.password_file import read_password
from fraudctl.config.paths import StackPaths, follow_links, stack_paths, user_path
from fraudctl.errors import ConfigError, FraudctlError, RefusedError, UsageError
from fraudctl.operations import preflight
from fraudctl.operations.detect.doctor import DoctorRequest, doctor
from fraudctl.runtime.files import naming, write_whole
from fraudctl.runtime.first_cause import first_cause
from fraudctl.runtime.jvm.proxy import proxy_flags
from fraudctl.ui.console import writing_output
from fraudctl.ui.failure import of_system
from tests.support.another_user import python_for

ROOT = Path(__file__).parents[2]
NAMELESS = 54321


@pytest.fixture
def paths(tmp_path: Path) -> StackPaths:
    return StackPaths(tmp_path / "home", "default", tmp_path / "cache")


def nameless(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run fraudctl as a user without an entry in /etc/passwd, who is told of nothing else."""
    if os.geteuid() != 0:
        pytest.skip("only root can run a program as another user")
    python = python_for(NAMELESS)
    libraries = subprocess.run(
        [sys.executable, "-c", "from tests.support.another_user import libraries; print(libraries())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return subprocess.run(
        [python, "-m", "fraudctl", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": libraries, **environ},
        user=NAMELESS,
        group=NAMELESS,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_home_folder_a_place_has_to_be_named() -> None:
    done = nameless("status")
    assert done.returncode == 2
    assert "--home" in done.stderr and "FRAUDCTL_HOME" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["option", "variable"])
def test_with_a_place_named_no_home_folder_is_needed(how: str, tmp_path: Path) -> None:
    named = ("--home", "/tmp/nowhere-yet") if how == "option" else ()
    done = nameless("status", *named, **({} if named else {"FRAUDCTL_HOME": "/tmp/nowhere-yet"}))
    assert done.returncode == 1
    assert "stopped" in done.stdout


def test_the_cache_of_a_user_without_home_lies_beside_the_stacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fraudctl.config.paths._platform_folder", lambda _kind: None)
    monkeypatch.delenv("FRAUDCTL_CACHE_DIR", raising=False)
    assert stack_paths(tmp_path, "default").cache == tmp_path / "cache"
    with pytest.raises(UsageError, match="no home folder"):
        stack_paths(None, "default")


def test_a_tilde_without_a_home_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="~nobody-of-this-name/pw") as caught:
        user_path("~nobody-of-this-name/pw", "postgres.password_file")
    assert "postgres.password_file" in caught.value.detail


@pytest.mark.parametrize("command", ["up", "detect"])
def test_a_user_without_a_name_is_refused_before_anything_starts(command: str, tmp_path: Path) -> None:
    home = Path("/tmp") / f"fraudctl-nameless-{os.getpid()}"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    try:
        arguments = ("up",) if command == "up" else ("detect", "--until-caught-up")
        done = nameless(*arguments, "--profile", "local", "--home", str(home), HOME=str(home))
        assert done.returncode == 3
        assert f"user {NAMELESS} has no name" in done.stderr
        assert "nss_wrapper" in done.stderr
        assert not list(home.iterdir())
    finally:
        for left in home.rglob("*"):
            left.unlink()
        home.rmdir()


def test_a_user_with_a_name_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert preflight.check_user("Hadoop,") == pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(os, "geteuid", lambda: NAMELESS)
    with pytest.raises(RefusedError, match="has no name, and Hadoop, needs one"):
        preflight.check_user("Hadoop,")


@pytest.mark.parametrize(("hard", "passes"), [(256, False), (1023, False), (1024, True), (-1, True)])
def test_too_few_open_files_are_refused(hard: int, passes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, hard))
    if passes:
        assert preflight.check_open_files()
        return
    with pytest.raises(RefusedError, match=f"at most {hard} files") as caught:
        preflight.check_open_files()
    assert "ulimit" in caught.value.hint


def test_a_home_that_is_a_file_or_has_no_room_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RefusedError, match="cannot be created") as caught:
        preflight.check_folder(tmp_path / "file" / "home", 1, lambda _folder: 10, "--home")
    assert "is a file" in caught.value.detail
    with pytest.raises(RefusedError, match="10 MB free, 50 MB needed"):
        preflight.check_folder(tmp_path / "new" / "home", 50_000_000, lambda _folder: 10_000_000, "--home")


@pytest.mark.parametrize("value", [None, "", "."])
def test_without_a_folder_named_for_temporary_files_the_system_s_is_taken(value: str | None) -> None:
    assert preflight.check_temporary({} if value is None else {"TMPDIR": value})


@pytest.mark.parametrize(
    ("name", "words"), [("gone", "it is not there"), ("file", "it is no folder"), ("loop", "it is no folder")]
)
def test_a_folder_for_temporary_files_that_cannot_be_used_is_refused_before_anything_starts(
    name: str, words: str, paths: StackPaths, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    named = str(tmp_path / name)
    settings = load(flags={"profile": "local"}).settings
    for checks in (
        preflight.for_detector(settings, paths, {"TMPDIR": named}),
        preflight.for_stack(settings, paths, {"TMPDIR": named}, "local"),
    ):
        with pytest.raises(RefusedError, match=f"temporary files, {named}, cannot be used") as caught:
            preflight.run_all(checks)
        assert words in caught.value.detail
        assert "TMPDIR" in caught.value.hint


def test_the_doctor_tells_of_a_java_home_that_is_not_used(paths: StackPaths) -> None:
    settings = load(flags={"profile": "local"}).settings
    environ = {"JAVA_HOME": "/nope", "PATH": os.environ["PATH"]}
    report = doctor(DoctorRequest(settings, paths, {"rules": []}, environ))
    java = next(finding for finding in report.findings if finding.name == "java")
    assert java.well
    assert java.detail.startswith("not used: JAVA_HOME: /nope/bin/java cannot be started")


def test_a_cache_to_read_only_will_do_and_one_that_is_closed_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o555)
    assert preflight.check_cache(tmp_path / "cache") == str(tmp_path / "cache")
    if os.geteuid() != 0:
        (tmp_path / "cache").chmod(0)
        with pytest.raises(RefusedError, match="cannot be read") as caught:
            preflight.check_cache(tmp_path / "cache")
        assert "FRAUDCTL_CACHE_DIR" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HTTPS_PROXY", "http://proxy.example:80x", "HTTPS_PROXY is not the address"),
        ("https_proxy", "http://[::1", "https_proxy is not the address"),
        ("HTTP_PROXY", "socks5://proxy.example:1080", "HTTP_PROXY names a proxy of the kind socks5"),
        ("http_proxy", "http://", "http_proxy is not the address"),
        ("HTTPS_PROXY", "http://me:secret@proxy.example:99999", "HTTPS_PROXY is not the address"),
    ],
)
def test_a_proxy_that_is_none_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        proxy_flags({name: value})
    told = f"{caught.value.message} {caught.value.detail} {caught.value.hint}"
    assert "secret" not in told


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        ("http://proxy.example:3128", "proxy.example", 3128),
        ("proxy.example:3128", "proxy.example", 3128),
        ("https://proxy.example", "proxy.example", 443),
        ("http://me:secret@[::1]:8080/", "::1", 8080),
    ],
)
def test_a_proxy_is_told_to_java(value: str, host: str, port: int) -> None:
    assert proxy_flags({"HTTPS_PROXY": value}) == (f"-Dhttps.proxyHost={host}", f"-Dhttps.proxyPort={port}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"   \n", "is empty"),
        (codecs.BOM_UTF8, "is empty"),
        ("pass".encode("utf-16"), "is UTF-16"),
        ("pass".encode("utf-16-le"), "is UTF-16"),
        ("pass".encode("utf-16-be"), "is UTF-16"),
        ("pass".encode("utf-32"), "is UTF-32"),
        ("p\xe4ss".encode("latin-1"), "is not UTF-8 (byte 2)"),
        (b"first\nsecond\n", "holds 2 lines"),
        (b"first\r\n\r\nthird", "holds 3 lines"),
        (b"pa\0ss", "holds a zero byte"),
        (b"a\0b", "holds a zero byte"),
        (b"a\0", "holds a zero byte"),
        (b"\0", "holds a zero byte"),
        (b"\0" * 8, "holds a zero byte"),
        (b"x" * 5000, "holds more than 4096 bytes"),
    ],
)
def test_a_password_file_that_holds_no_password_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_password(file)
    assert (
        caught.value.message == f"the password file {file} {caught.value.message.split(str(file) + ' ')[1]}"
    )
    assert words in caught.value.message
    assert caught.value.hint
    assert "pass" not in caught.value.message.replace("password", "")


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (codecs.BOM_UTF8 + b"secret\n", "secret"),
        ("p\xe4ss w\xf6rd".encode(), "p\xe4ss w\xf6rd"),
        (b" blanks belong to it ", " blanks belong to it "),
    ],
)
def test_a_password_is_what_stands_on_the_line(content: bytes, password: str, tmp_path: Path) -> None:
    (tmp_path / "pw").write_bytes(content)
    assert read_password(tmp_path / "pw") == password


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_a_password_file_that_cannot_be_read_is_named(what: str, tmp_path: Path) -> None:
    file = tmp_path / "pw"
    if what == "folder":
        file.mkdir()
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        read_password(file, external=True)
    assert str(file) in caught.value.message
    assert "fraudctl up" not in caught.value.hint


@pytest.mark.parametrize("content", [b"", "p\xe4ss".encode("utf-16"), "p\xe4ss".encode("latin-1")])
@pytest.mark.parametrize("key", ["password_file", "writer_password_file"])
def test_the_password_files_are_read_before_the_detector_starts(
    content: bytes, key: str, paths: StackPaths, tmp_path: Path
) -> None:
    (tmp_path / "good").write_text("secret", encoding="utf-8")
    (tmp_path / "bad").write_bytes(content)
    files = {"password_file": "good", "writer_password_file": "good"} | {key: "bad"}
    settings = load(
        flags={
            "profile": "external",
            "kafka.bootstrap_servers": "127.0.0.1:1",
            **{f"postgres.{name}": str(tmp_path / value) for name, value in files.items()},
        }
    ).settings
    checks = preflight.for_detector(settings, paths, {})
    with pytest.raises(ConfigError, match=str(tmp_path / "bad")) as caught:
        preflight.run_all(checks)
    assert caught.value.exit_code == 3


def test_the_doctor_runs_the_checks_of_detect_and_names_each_that_fails(
    paths: StackPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 256))
    settings = load(flags={"profile": "local"}).settings
    environ = {"HTTPS_PROXY": "socks5://proxy", "FRAUDCTL_FAILPOINT": "nonsense", "PATH": os.environ["PATH"]}
    report = doctor(DoctorRequest(settings, paths, {"rules": []}, environ))
    found = {finding.name: finding for finding in report.findings}
    checks = preflight.for_detector(settings, paths, environ)
    assert {check.name for check in checks} < set(found)
    wrong = {name for name, finding in found.items() if not finding.well}
    assert {"open files", "proxy", "failpoints", "stack"} <= wrong
    assert all(found[name].hint for name in wrong)
    assert not paths.root.exists()


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (
            [
                "Error: Could not create the Java Virtual Machine.",
                "Unrecognized VM option 'Foo'",
                "Error: A fatal",
            ],
            "Unrecognized VM option 'Foo'",
        ),
        (
            [
                "INFO starting",
                "Exception in thread main",
                "Caused by: LoginException: invalid null input: name",
            ],
            "Caused by: LoginException: invalid null input: name",
        ),
        (["a", "java.lang.OutOfMemoryError: Java heap space", "Caused by: x"], "java.lang.OutOfMemoryError"),
        (["bin/spark-submit: line 3: ps: command not found", "b"], "command not found"),
        (["nothing", "of", "interest"], ""),
    ],
)
def test_the_first_cause_of_an_end_is_found_in_the_log(lines: list[str], cause: str) -> None:
    found = first_cause(lines)
    assert cause in found
    assert bool(found) == bool(cause)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (13, "opened or changed by this user"),
        (21, "it is a folder"),
        (28, "written: the disk is full"),
        (30, "read-only"),
        (36, "its name is too long"),
        (24, "too many files"),
        (40, "it is a link that leads back to itself"),
    ],
)
def test_what_the_system_refuses_names_the_file_and_the_act(number: int, words: str) -> None:
    error: FraudctlError = of_system(OSError(number, os.strerror(number), "/data/file"))
    assert error.message.startswith("/data/file cannot be ")
    assert words in error.message
    assert os.strerror(number) in error.message
    assert error.exit_code == 3 and error.hint


def test_an_error_that_names_no_file_blames_none() -> None:
    assert of_system(OSError(28, os.strerror(28))).message.startswith("the operating system refuses a step")


def test_an_output_that_cannot_be_written_is_told_without_a_hint_about_folders() -> None:
    with pytest.raises(OSError, match="No space left") as caught, writing_output():
        raise OSError(28, os.strerror(28))
    error = of_system(caught.value)
    assert error.message.startswith("standard output cannot be written: the disk is full")
    assert "--home" not in error.hint


def test_a_hidden_file_on_the_way_has_the_name_that_the_user_gave(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as caught, naming(tmp_path / "x"):
        (tmp_path / "nope" / ".x.partial").open("wb")
    assert of_system(caught.value).message.startswith(f"{tmp_path / 'x'} cannot be found")


@pytest.mark.parametrize("name", ["loop", "loop/home"])
def test_a_home_that_is_a_link_to_itself_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match=f"{name} is a link that leads back to itself") as caught:
        stack_paths(tmp_path / name, "default")
    assert caught.value.hint == "choose another --home (or FRAUDCTL_HOME)"


def test_a_link_that_leads_back_to_itself_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("back")
    (tmp_path / "back").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        follow_links(tmp_path / "loop")
    (tmp_path / "link").symlink_to("file")
    assert follow_links(tmp_path / "link") == (tmp_path / "file").resolve()


def test_a_disk_that_is_full_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(tmp_path / "state.json", "{}")
    assert of_system(caught.value).message.startswith(f"{tmp_path / 'state.json'} cannot be written")
    assert not list(tmp_path.iterdir())
