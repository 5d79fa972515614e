"""The exact spark-submit command line of the detector: built here, printed by --dry-run, run unchanged."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path

from fraudctl import assets, environment
from fraudctl.config.model import SparkSettings
from fraudctl.errors import NotReadyError, RefusedError

SCALA = "2.13"
LOCAL_FS = "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem"
_MEND = "install fraudctl again, with its dependencies; unset PYTHONPATH if it names another Spark"
_FILE_MANAGER = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
STATE_STORES = {
    "memory": "org.apache.spark.sql.fraudctl.DetectorStateStoreProvider",
    "rocksdb": "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
}
# Much of Spark's code runs often enough for HotSpot's optimizing compiler, and far too seldom to repay it: at
# the defaults the compiler takes as much processor time as all tasks of the first minute. Ten times the
# default of each threshold halves that; the code of hot loops is past them within the first batch.
_LATER_OPTIMIZED = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)


def kafka_package() -> str:
    """Return the coordinates of Spark's Kafka connector; its version is always pyspark's own."""
    return f"org.apache.spark:spark-sql-kafka-0-10_{SCALA}:{spark_version()}"


def spark_version() -> str:
    """Return the version of the pyspark that fraudctl runs.

    Raises:
        NotReadyError: pyspark is not installed.
        RefusedError: only another version of it is installed.
    """
    return _installed_spark()[1]


def spark_home() -> Path:
    """Return the folder in which the pyspark wheel keeps bin/ and jars/; nothing of it is imported.

    A `pyspark` that comes first on PYTHONPATH (as `export PYTHONPATH=$SPARK_HOME/python` puts it there) is
    another Spark, and skipped.

    Raises:
        NotReadyError: pyspark is not installed.
        RefusedError: only another version of it is installed.
    """
    return _installed_spark()[0]


def _installed_spark() -> tuple[Path, str]:
    found: list[tuple[Path, str]] = []
    for each in distributions(name="pyspark"):
        home = Path(str(each.locate_file("pyspark")))
        if (home / "bin" / "spark-submit").is_file():
            found.append((home, each.version))
    wanted = _required_spark()
    for home, number in found:
        if wanted in (None, number):
            return home, number
    if found:
        others = ", ".join(f"{number} in {home.parent}" for home, number in found)
        raise RefusedError(f"pyspark {wanted} is not installed", detail=f"found: {others}", hint=_MEND)
    raise NotReadyError("pyspark is not installed", hint=_MEND)


def _required_spark() -> str | None:
    """Return the pyspark version that fraudctl's metadata requires; None where fraudctl is not installed."""
    try:
        wanted = requires("fraudctl") or []
    except PackageNotFoundError:
        return None
    pinned = (line.partition("==")[2] for line in wanted if line.startswith("pyspark=="))
    return next((number.partition(";")[0].strip() for number in pinned), None)


@dataclass(frozen=True)
class SparkSubmit:
    """The command line `argv`, and the variables that are added to the child's environment."""

    argv: tuple[str, ...]
    environment: dict[str, str]


@dataclass(frozen=True)
class Interior:
    """The paths and names that the driver uses, on this machine or inside a container.

    `java_home` None leaves it to the image; `host` is the name at which executors of a cluster reach the
    driver, None leaves it to Spark.
    """

    spark_home: str
    python: str
    java_home: str | None
    host: str | None = None
    python_path: tuple[str, ...] = ()


def on_this_machine(java_home: Path) -> Interior:
    """Return the paths for a driver that runs the installed pyspark on this machine."""
    return Interior(spark_home=str(spark_home()), python=sys.executable, java_home=str(java_home))


def build(
    *,
    job_file: Path,
    spark: SparkSettings,
    interior: Interior,
    java_options: Sequence[str],
    jars: Sequence[Path],
    local_fs_jars: Sequence[Path],
    log4j_file: Path,
    scratch: Path,
) -> SparkSubmit:
    """Assemble the command line.

    Args:
        job_file: the JSON file that describes the run, the only argument of the detector's script.
        spark: the settings of Spark.
        interior: the paths that the driver uses.
        java_options: flags for the driver's JVM (a trust store, for instance).
        jars: the JVM code of the detector and what it needs beyond Spark, for driver and executors.
        local_fs_jars: the file system of the checkpoint, for a driver without executors elsewhere.
        log4j_file: the configuration of the driver's logs.
        scratch: folder for Spark's temporary files.
    """
    java = " ".join(
        _quoted(option)
        for option in [
            "-Duser.timezone=UTC",
            f"-Dlog4j2.configurationFile={log4j_file.as_uri()}",
            # Nothing is left in the system's temporary folder, not even when the driver is killed.
            "-XX:-UsePerfData",
            f"-Djava.io.tmpdir={scratch}",
            *_LATER_OPTIMIZED,
            *java_options,
        ]
    )
    conf: dict[str, str] = {
        "spark.ui.enabled": "false",
        "spark.local.dir": str(scratch),
        "spark.redaction.regex": "(?i)secret|password|token|jaas",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(spark.shuffle_partitions),
        "spark.sql.streaming.numRecentProgressUpdates": "50",
        "spark.sql.streaming.stateStore.providerClass": STATE_STORES[spark.state_store],
        **_network(spark, interior),
    }
    if spark.fast_checkpoint and not spark.is_cluster:  # executors elsewhere do not have the jar
        conf |= {
            "spark.hadoop.fs.file.impl": LOCAL_FS,
            "spark.sql.streaming.checkpointFileManagerClass": _FILE_MANAGER,
        }
    if class_path := extra_class_path(spark, jars, local_fs_jars):
        conf["spark.driver.extraClassPath"] = ":".join(class_path)
    argv = [
        f"{interior.spark_home}/bin/spark-submit",
        *("--master", spark.master),
        *("--driver-memory", spark.driver_memory),
        *("--driver-java-options", java),
        *(("--jars", ",".join(str(jar) for jar in jars)) if spark.is_cluster else ()),
        *(part for key, value in conf.items() for part in ("--conf", f"{key}={value}")),
        str(assets.detector_script()),
        str(job_file),
    ]
    environment = {
        "SPARK_HOME": interior.spark_home,
        "PYSPARK_PYTHON": interior.python,
        "PYSPARK_DRIVER_PYTHON": interior.python,
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(scratch),
        "TZ": "UTC",
    }
    if interior.java_home is not None:
        environment["JAVA_HOME"] = interior.java_home
    if interior.python_path:
        environment["PYTHONPATH"] = ":".join(interior.python_path)
    if not spark.is_cluster:
        environment["SPARK_LOCAL_IP"] = "127.0.0.1"
    return SparkSubmit(tuple(argv), environment)


def extra_class_path(
    spark: SparkSettings, jars: Sequence[Path], local_fs_jars: Sequence[Path]
) -> tuple[str, ...]:
    """Return the jars that come before Spark's own in the driver's JVM; none with executors elsewhere.

    With executors elsewhere, Spark copies and fetches what --jars names; without them a class path is enough.
    """
    if spark.is_cluster:
        return ()
    return tuple(str(jar) for jar in (*jars, *(local_fs_jars if spark.fast_checkpoint else ())))


def _network(spark: SparkSettings, interior: Interior) -> dict[str, str]:
    """Return who may reach the driver, as options: nobody from outside, or the executors of its cluster."""
    if not spark.is_cluster:
        return {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    conf = {"spark.executor.extraJavaOptions": "-Duser.timezone=UTC", "spark.executorEnv.TZ": "UTC"}
    if interior.host is not None:
        conf |= {"spark.driver.host": interior.host, "spark.driver.bindAddress": "0.0.0.0"}
    return conf


def _quoted(option: str) -> str:
    """Quote one of several options in a string that Spark's launcher splits at blanks, as a shell would."""
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if any(character in option for character in " \t'\"\\") else option


def child_environment(
    submit: SparkSubmit, inherited: Mapping[str, str], *, yarn: bool = False
) -> dict[str, str]:
    """Return the whole environment of the child; another Spark on this machine must not leak in.

    Args:
        submit: the command line and its own variables.
        inherited: the caller's variables.
        yarn: the master is a cluster of Hadoop, whose configuration the child needs.
    """
    # If only PYTHONPATH leads to fraudctl and its packages, the child finds them the same way.
    own = (Path(__file__).resolve().parents[3], spark_home().parent)
    return environment.for_program(inherited, yarn=yarn, python_path=own) | submit.environment
