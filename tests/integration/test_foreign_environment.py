"""A running stack, and a shell full of other programs' variables: everything is as without them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fraudctl.config.endpoints import Endpoints
from tests.conftest import NewStack
from tests.support.commands import fraudctl
from tests.support.databases import temporary_database
from tests.support.stacks import Stack

pytestmark = pytest.mark.services

LIBPQ = {
    "PGSSLMODE": "require",
    "PGHOSTADDR": "127.0.0.9",
    "PGSERVICE": "x",
    "PGCHANNELBINDING": "require",
    "PGCLIENTENCODING": "LATIN1",
    "PGTZ": "Nowhere/Land",
    "PGOPTIONS": "-c search_path=elsewhere",
    "PGREQUIREAUTH": "md5",
}
JAVA = {
    "JAVA_TOOL_OPTIONS": "-javaagent:/nonexistent.jar",
    "JDK_JAVA_OPTIONS": "--foo",
    "_JAVA_OPTIONS": "-XX:NoSuchOption",
    "CLASSPATH": "/nonexistent",
    "KAFKA_OPTS": "-Dx=y",
}
SPARK = {"SPARK_HOME": "/nonexistent", "SPARK_CONF_DIR": "/nonexistent", "HADOOP_CONF_DIR": "/nonexistent"}


@pytest.fixture
def foreign_pyspark(tmp_path: Path) -> dict[str, str]:
    """What `export PYTHONPATH=$SPARK_HOME/python` does with an older Spark."""
    package = tmp_path / "s" / "python" / "pyspark"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "3.3.2"\n', encoding="utf-8")
    (tmp_path / "s" / "python" / "py4j").mkdir()
    (tmp_path / "s" / "python" / "py4j" / "__init__.py").write_text("raise RuntimeError\n", encoding="utf-8")
    return {"PYTHONPATH": str(tmp_path / "s" / "python")}


@pytest.mark.parametrize("name", sorted(LIBPQ))
@pytest.mark.parametrize("command", ["status", "migrate"])
def test_a_variable_of_libpq_changes_nothing(stack: Stack, command: str, name: str) -> None:
    done = stack.run(command, env={name: LIBPQ[name]})
    assert done.returncode == 0, done.stderr


def test_texts_in_any_script_are_read_as_they_were_written(
    endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "uni.yaml"
    reason = "Betrag \u00fcber 600 \u20ac \u2192 \u4ea4\u6613"
    file.write_text(
        f"rules:\n  - id: high\n    reason: {reason}\n    action: alert\n    when: {{amount_over: 60000}}\n",
        encoding="utf-8",
    )
    with temporary_database(endpoints.postgres) as database:
        own = replace(endpoints, postgres=database)

        def told(*arguments: str) -> str:
            done = fraudctl(own, tmp_path, *arguments)
            assert done.returncode == 0, done.stderr
            return done.stdout

        told("migrate")
        told("rules", "apply", str(file))
        plain = told("rules", "list", "--json")
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        assert told("rules", "list", "--json") == plain
        assert reason in plain


@pytest.mark.parametrize("name", sorted(JAVA))
def test_a_variable_of_java_changes_nothing(stack: Stack, name: str) -> None:
    done = stack.run("detect", "--dry-run", env={name: JAVA[name]})
    assert "spark-submit" in done.stdout


def test_another_spark_changes_nothing(stack: Stack, foreign_pyspark: dict[str, str]) -> None:
    line = stack.run("detect", "--dry-run", env={**foreign_pyspark, **SPARK}).stdout
    assert "/s/python/" not in line and "/nonexistent" not in line
    found = json.loads(stack.run("doctor", "--json", env={**foreign_pyspark, **SPARK}).stdout)["findings"]
    assert {each["name"]: each["well"] for each in found}["spark"]
    told = {each["name"]: each["answer"] for each in found}["environment"]
    assert "PYTHONPATH" in told and "SPARK_HOME" in told


@pytest.mark.timeout(900)
def test_a_whole_run_with_all_of_them_at_once(new_stack: NewStack, foreign_pyspark: dict[str, str]) -> None:
    exported = {**LIBPQ, **JAVA, **SPARK, **foreign_pyspark, "BASH_ENV": "/nonexistent"}
    mine = new_stack(exported)
    mine.up()
    mine.run("produce", "--count", "50", "--rate", "max")
    assert mine.json("detect", "--until-caught-up")["records"] == 50
    mine.run("verify-idempotency")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        ("p\xe4ss".encode("utf-16"), "is UTF-16"),
        ("p\xe4ss".encode("latin-1"), "is not UTF-8"),
        (b"one\ntwo\n", "holds 2 lines"),
    ],
)
@pytest.mark.parametrize("command", ["migrate --status", "status", "doctor", "detect --dry-run"])
def test_a_password_file_that_holds_none_is_named(
    endpoints: Endpoints, tmp_path: Path, content: bytes, words: str, command: str
) -> None:
    file = tmp_path / "pw"
    file.write_bytes(content)
    done = fraudctl(endpoints, tmp_path, *command.split(), postgres__password_file=str(file))
    told = done.stdout + done.stderr
    assert done.returncode == (1 if command in ("status", "doctor") else 3), told
    assert f"{file} {words}" in told
    assert "fraudctl up" not in told and "Traceback" not in told
