"""Variables of other programs: which a child process gets, which are settings, and which of pip's count."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fraudctl import environment
from fraudctl.config.load import load
from fraudctl.errors import ConfigError
from fraudctl.runtime.jvm import spark_submit

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name",
    [
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "_JAVA_OPTIONS",
        "CLASSPATH",
        "JAVA_OPTS",
        "KAFKA_OPTS",
        "KAFKA_HEAP_OPTS",
        "SPARK_HOME",
        "SPARK_CONF_DIR",
        "PYSPARK_SUBMIT_ARGS",
        "HADOOP_CONF_DIR",
        "HADOOP_OPTS",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "BASH_ENV",
    ],
)
def test_a_child_does_not_get_the_variables_of_other_programs(name: str) -> None:
    mine = {"HOME": "/home/me", "HTTPS_PROXY": "http://proxy:3128", name: "-javaagent:/nonexistent.jar"}
    assert environment.for_program(mine) == {"HOME": "/home/me", "HTTPS_PROXY": "http://proxy:3128"}
    assert environment.dropped(mine) == (name,)
    assert name not in environment.for_service(mine)


def test_a_cluster_of_yarn_keeps_its_configuration() -> None:
    mine = {"HADOOP_CONF_DIR": "/etc/hadoop", "HADOOP_OPTS": "-Dx=y"}
    assert environment.for_program(mine, yarn=True) == {"HADOOP_CONF_DIR": "/etc/hadoop"}


def test_of_a_python_path_only_what_fraudctl_needs_stays(tmp_path: Path) -> None:
    mine = {"PYTHONPATH": f"{tmp_path}/spark/python:{tmp_path}/ours:"}
    assert environment.for_program(mine, python_path=[tmp_path / "ours"]) == {
        "PYTHONPATH": f"{tmp_path}/ours"
    }
    assert environment.for_program(mine) == {}


def test_a_service_of_a_user_named_by_nss_wrapper_finds_the_name() -> None:
    mine = {"LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_PASSWD": "/p", "PGPORT": "1"}
    found = environment.for_service(mine, LC_ALL="C")
    assert (found["LD_PRELOAD"], found["NSS_WRAPPER_PASSWD"]) == ("libnss_wrapper.so", "/p")
    assert "LD_PRELOAD" not in environment.for_service({"LD_PRELOAD": "libjemalloc.so"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRAUDCTL_PORT", "tcp://10.0.0.7:80"),
        ("FRAUDCTL_SERVICE_HOST", "10.0.0.7"),
        ("FRAUDCTL_SERVICE_PORT", "80"),
        ("FRAUDCTL_SERVICE_PORT_HTTP", "80"),
        ("FRAUDCTL_PORT_9092_TCP", "tcp://10.0.0.7:9092"),
        ("FRAUDCTL_PORT_9092_TCP_PROTO", "tcp"),
        ("FRAUDCTL_PORT_9092_TCP_ADDR", "10.0.0.7"),
        ("FRAUDCTL_KAFKA_SERVICE_HOST", "10.0.0.7"),
        ("FRAUDCTL_KAFKA_PORT_53_UDP", "udp://10.0.0.7:53"),
        ("FRAUDCTL_PROFILE_PORT", "tcp://10.0.0.7:80"),
    ],
)
def test_a_service_of_kubernetes_is_no_setting(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert load().settings.profile == "auto"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRAUDCTL_KAFKA_PORT", "9092"),
        ("FRAUDCTL_PORT", "9092"),
        ("FRAUDCTL_PROFIL", "local"),
        ("FRAUDCTL_POSTGRES_HOST", "db"),
    ],
)
def test_a_mistyped_setting_is_still_an_error(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="unknown setting"):
        load()


def test_the_makefile_and_the_package_keep_the_same_variables_of_pip() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.search(r"^PIP_KEPT := (.+)$", text, re.MULTILINE)
    assert found is not None
    assert {f"PIP_{name}" for name in found[1].split()} == environment.PIP_KEPT
    mine = {"PIP_TARGET": "/x", "PIP_USER": "1", "PIP_INDEX_URL": "http://mirror/simple"}
    assert environment.for_pip(mine) == {"PIP_INDEX_URL": "http://mirror/simple"}


@pytest.mark.parametrize("foreign", ["bare", "installed"])
def test_another_pyspark_on_the_python_path_is_passed_over(foreign: str, tmp_path: Path) -> None:
    """`export PYTHONPATH=$SPARK_HOME/python` puts one there; a folder of packages has its metadata, too."""
    package = tmp_path / "python" / "pyspark"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "3.3.2"\n', encoding="utf-8")
    if foreign == "installed":
        (package / "bin" / "spark-submit").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        metadata = tmp_path / "python" / "pyspark-3.3.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Name: pyspark\nVersion: 3.3.2\n", encoding="utf-8")
    code = "from fraudctl.runtime.jvm.spark_submit import *; print(spark_home(), spark_version())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "python"), "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{spark_submit.spark_home()} {spark_submit.spark_version()}"


def test_packages_of_another_program_are_named_when_they_break_the_start(tmp_path: Path) -> None:
    (tmp_path / "typer").mkdir()
    (tmp_path / "typer" / "__init__.py").write_text("", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "fraudctl", "status"],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert f"PYTHONPATH={tmp_path}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_tests_do_not_depend_on_what_a_shell_exports(tmp_path: Path) -> None:
    exported = {
        "FRAUDCTL_HOME": "/nonexistent",
        "FRAUDCTL_PROFILE": "external",
        "FRAUDCTL_STACK": "No Such Name",
        "FRAUDCTL_KAFKA__PORT": "1",
        "FRAUDCTL_FAILPOINT": "nonsense",
        "PGSERVICE": "nowhere",
        "JAVA_TOOL_OPTIONS": "-javaagent:/nonexistent.jar",
    }
    code = (
        "import os\n"
        "def test_nothing_is_left():\n"
        f"    assert not set(os.environ) & set({sorted(exported)!r})\n"
        "    assert os.environ['FRAUDCTL_CACHE_DIR'] == '/cache'\n"
    )
    (tmp_path / "test_exported.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest"),
            str(tmp_path / "test_exported.py"),
        ],
        env={**exported, "FRAUDCTL_CACHE_DIR": "/cache", "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
