"""The spark-submit line: right package, UTC, nothing secret, the file-system fix on and off."""

from pathlib import Path

import pytest

from fraudctl.config.load import load
from fraudctl.runtime.jvm.spark_submit import (
    LOCAL_FS,
    Interior,
    SparkSubmit,
    build,
    child_environment,
    on_this_machine,
)

INSIDE = Interior("/opt/spark", "python3", None, "detector", ("/packages",))


def submit(interior: Interior | None = None, **flags: object) -> SparkSubmit:
    return build(
        job_file=Path("/run/job.json"),
        spark=load(flags={f"spark.{key}": value for key, value in flags.items()}).settings.spark,
        interior=interior or on_this_machine(Path("/java")),
        jars=(Path("/jars/code.jar"), Path("/jars/kafka.jar")),
        java_options=("-Dtrust=1",),
        local_fs_jars=(Path("/jars/fs.jar"),),
        log4j_file=Path("/configs/log4j2.properties"),
        scratch=Path("/run/spark"),
    )


def conf(line: SparkSubmit) -> dict[str, str]:
    return dict(
        value.split("=", 1) for flag, value in zip(line.argv, line.argv[1:], strict=False) if flag == "--conf"
    )


@pytest.mark.parametrize("interior", [None, INSIDE])
def test_a_local_driver_has_its_jars_on_the_class_path(interior: Interior | None) -> None:
    """Neither Ivy nor a copy of what is there: both would take time at every start."""
    line = submit(interior, fast_checkpoint=False)
    assert conf(line)["spark.driver.extraClassPath"] == "/jars/code.jar:/jars/kafka.jar"
    assert not {"--packages", "--jars"} & set(line.argv)


def test_the_executors_of_a_cluster_are_handed_the_jars() -> None:
    line = submit(INSIDE, master="spark://spark-master:7077")
    assert line.argv[line.argv.index("--jars") + 1] == "/jars/code.jar,/jars/kafka.jar"
    assert "spark.driver.extraClassPath" not in conf(line)


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
    assert ("/jars/fs.jar" in found["spark.driver.extraClassPath"].split(":")) is fast


def test_rocksdb_when_asked_for() -> None:
    key = "spark.sql.streaming.stateStore.providerClass"
    assert conf(submit())[key].endswith(".DetectorStateStoreProvider")
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


def test_inside_a_container_nothing_of_this_machine_is_named() -> None:
    line = submit(INSIDE)
    assert line.argv[0] == "/opt/spark/bin/spark-submit"
    assert line.environment["PYTHONPATH"] == "/packages"
    assert "JAVA_HOME" not in line.environment


@pytest.mark.parametrize("interior", [None, INSIDE])
def test_a_local_driver_is_reached_by_nobody(interior: Interior | None) -> None:
    line = submit(interior)
    assert conf(line)["spark.driver.host"] == conf(line)["spark.driver.bindAddress"] == "127.0.0.1"
    assert line.environment["SPARK_LOCAL_IP"] == "127.0.0.1"


def test_a_driver_with_a_cluster_is_reached_by_its_name() -> None:
    line = submit(INSIDE, master="spark://spark-master:7077")
    assert conf(line)["spark.driver.host"] == "detector"
    assert "SPARK_LOCAL_IP" not in line.environment
    assert conf(line)["spark.executorEnv.TZ"] == "UTC"
    # The executors' class path lacks the jar.
    assert "spark.hadoop.fs.file.impl" not in conf(line)


def test_where_this_machine_is_reached_is_left_to_spark() -> None:
    found = conf(submit(master="spark://elsewhere:7077"))
    assert "spark.driver.host" not in found
