"""The spark-submit line: right package, UTC, nothing secret, the file-system fix on and off."""

from importlib.metadata import version
from pathlib import Path

import pytest

from fraudctl.config.load import load
from fraudctl.runtime.spark_submit import LOCAL_FS, SparkSubmit, build, child_environment


def submit(**flags: object) -> SparkSubmit:
    return build(
        job_file=Path("/run/job.json"),
        spark=load(flags={f"spark.{key}": value for key, value in flags.items()}).settings.spark,
        ivy_home=Path("/cache/ivy"),
        ivy_settings=Path("/configs/ivysettings.xml"),
        java_home=Path("/java"),
        java_options=("-Dtrust=1",),
        local_fs_jars=(Path("/jars/fs.jar"),),
        log4j_file=Path("/configs/log4j2.properties"),
        scratch=Path("/run/spark"),
    )


def conf(line: SparkSubmit) -> dict[str, str]:
    return dict(
        value.split("=", 1) for flag, value in zip(line.argv, line.argv[1:], strict=False) if flag == "--conf"
    )


def test_the_connector_has_the_version_of_pyspark() -> None:
    argv = submit().argv
    package = argv[argv.index("--packages") + 1]
    assert package == f"org.apache.spark:spark-sql-kafka-0-10_2.13:{version('pyspark')}"


def test_the_job_comes_last_and_nothing_follows_it() -> None:
    argv = submit().argv
    assert argv[-1] == "/run/job.json"
    assert argv[-2].endswith("fraudctl/detector/app.py")


def test_utc_everywhere() -> None:
    line = submit()
    assert conf(line)["spark.sql.session.timeZone"] == "UTC"
    assert "-Duser.timezone=UTC" in line.argv[line.argv.index("--driver-java-options") + 1]
    assert line.environment["TZ"] == "UTC"


@pytest.mark.parametrize("fast", [True, False])
def test_the_file_system_fix_can_be_switched(fast: bool) -> None:
    found = conf(submit(fast_checkpoint=fast))
    assert (found.get("spark.hadoop.fs.file.impl") == LOCAL_FS) is fast
    assert (found.get("spark.driver.extraClassPath") == "/jars/fs.jar") is fast


def test_rocksdb_when_asked_for() -> None:
    key = "spark.sql.streaming.stateStore.providerClass"
    assert key not in conf(submit())
    assert "RocksDB" in conf(submit(state_store="rocksdb"))[key]


def test_another_spark_of_this_machine_does_not_leak_in() -> None:
    inherited = {
        "SPARK_CONF_DIR": "/etc/spark",
        "PYSPARK_SUBMIT_ARGS": "x",
        "HOME": "/home/me",
        "TZ": "Asia/Tokyo",
    }
    found = child_environment(submit(), inherited)
    assert "SPARK_CONF_DIR" not in found
    assert "PYSPARK_SUBMIT_ARGS" not in found
    assert (found["HOME"], found["TZ"], found["JAVA_HOME"]) == ("/home/me", "UTC", "/java")
