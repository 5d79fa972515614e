"""Sides that are Spark scripts: how spark-submit of the pyspark wheel runs them, and what they report."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import processes
from benchmarks.errors import BenchError
from benchmarks.figures import Batch
from benchmarks.processes import Running
from benchmarks.runner import Context, Outcome
from benchmarks.services import clean_environment
from benchmarks.sides import detect
from benchmarks.traffic import Loaded
from fraudctl.clock import Deadline
from fraudctl.config.paths import stack_paths
from fraudctl.runtime.jvm.jars import ensure_jars
from fraudctl.runtime.jvm.java import find_java
from fraudctl.runtime.jvm.spark_submit import LOCAL_FS, spark_home

_HERE = Path(__file__).resolve().parent
_JARS_SECONDS = 900.0
FILE_MANAGER = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
# Spark's own default, which a tutorial never changes.
DEFAULT_PARTITIONS = 200


def _command(
    scratch: Path, script: str, arguments: Mapping[str, str], *, fast_checkpoint: bool
) -> tuple[list[str], dict[str, str]]:
    paths = stack_paths(None, "default")
    java = find_java(paths, os.environ)
    deadline = Deadline(_JARS_SECONDS)
    connector = ensure_jars("connector", java, paths, deadline)
    local_fs = ensure_jars("local-fs", java, paths, deadline) if fast_checkpoint else ()
    conf = {
        "spark.ui.enabled": "false",
        "spark.local.dir": str(scratch),
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.log.level": "ERROR",
        "spark.sql.streaming.numRecentProgressUpdates": "5000",
    }
    if fast_checkpoint:
        conf |= {
            "spark.driver.extraClassPath": ":".join(map(str, local_fs)),
            "spark.hadoop.fs.file.impl": LOCAL_FS,
            "spark.sql.streaming.checkpointFileManagerClass": FILE_MANAGER,
        }
    argv = [
        str(spark_home() / "bin" / "spark-submit"),
        *("--master", "local[2]", "--driver-memory", detect.HEAP),
        *("--driver-java-options", f"-Duser.timezone=UTC -XX:-UsePerfData -Djava.io.tmpdir={scratch}"),
        *("--jars", ",".join(map(str, connector))),
        *(part for key, value in conf.items() for part in ("--conf", f"{key}={value}")),
        str(_HERE / script),
        *(part for key, value in arguments.items() for part in (f"--{key}", value)),
    ]
    env = clean_environment() | {
        "JAVA_HOME": str(java.home),
        "SPARK_HOME": str(spark_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "TMPDIR": str(scratch),
        "TZ": "UTC",
    }
    return argv, env


def read_batches(file: Path) -> list[Batch]:
    """Read what a script wrote about its micro-batches."""
    found = []
    for line in detect.read_lines(file):
        began = datetime.fromisoformat(line["began"]).timestamp()
        found.append(Batch(line["records"], began, line["trigger_ms"] / 1000))
    return found


@contextmanager
def live_naive(context: Context, topic: str, partitions: int) -> Iterator[tuple[Running, Path, str]]:
    """Naive Spark on a topic that grows; yields the process, its progress file and its database."""
    scratch = context.scratch()
    with context.services.database() as database:
        dsn = context.services.dsn(database)
        prepare(dsn)
        arguments = _arguments(context, topic, scratch, 100_000, partitions)
        argv, env = _command(scratch, "naive_spark.py", arguments | {"live": "1"}, fast_checkpoint=True)
        with processes.running(argv, env | {"BENCH_DSN": dsn}, scratch, context.services.pids) as process:
            yield process, scratch / "progress.jsonl", dsn


def _arguments(
    context: Context, topic: str, scratch: Path, batch: int, partitions: int | None = None
) -> dict[str, str]:
    arguments = {
        "bootstrap-servers": context.services.bootstrap_servers,
        "topic": topic,
        "batch": str(batch),
        "folder": str(scratch),
    }
    return arguments if partitions is None else arguments | {"partitions": str(partitions)}


def prepare(dsn: str) -> None:
    """Create the table that naive Spark writes to."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "CREATE TABLE windows (window_start timestamptz, window_end timestamptz, category text,"
            " count bigint, flagged_count bigint, amount_minor bigint, flagged_amount_minor bigint,"
            " PRIMARY KEY (window_start, category))"
        )


def naive(context: Context, loaded: Loaded, batch: int, partitions: int) -> Outcome:
    """Drain a log by naive Spark into an empty table.

    With Spark's default number of partitions Hadoop's own local file system keeps the checkpoint, as in a
    tutorial; with fewer it is the faster one that fraudctl uses too.

    Raises:
        BenchError: the rows it stored cannot be right.
    """
    scratch = context.scratch()
    with context.services.database() as database:
        dsn = context.services.dsn(database)
        prepare(dsn)
        arguments = _arguments(context, loaded.topic, scratch, batch, partitions)
        fast = partitions != DEFAULT_PARTITIONS
        argv, env = _command(scratch, "naive_spark.py", arguments, fast_checkpoint=fast)
        done = processes.run(argv, env | {"BENCH_DSN": dsn}, scratch, context.services.pids)
        with psycopg.connect(dsn) as connection:
            row: Any = connection.execute("SELECT coalesce(sum(count), 0) FROM windows").fetchone()
    detect.check_plausible("naive Spark", float(row[0]) / detect.WINDOWS_PER_EVENT, loaded.events)
    return detect.figures(read_batches(scratch / "progress.jsonl"), done)


def scan(context: Context, loaded: Loaded, batch: int) -> Outcome:
    """Read a log by Spark and throw it away."""
    scratch = context.scratch()
    arguments = _arguments(context, loaded.topic, scratch, batch)
    argv, env = _command(scratch, "spark_scan.py", arguments, fast_checkpoint=True)
    done = processes.run(argv, env, scratch, context.services.pids)
    found = read_batches(scratch / "progress.jsonl")
    read = sum(one.records for one in found)
    if read != loaded.records:
        raise BenchError(f"the scan read {read:,} of {loaded.records:,} records")
    return detect.figures(found, done)
