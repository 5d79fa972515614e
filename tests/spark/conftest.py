"""One Spark session for all tests of this folder, set up as spark-submit sets up the detector."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pyspark.sql import SparkSession

from fraudctl.clock import Deadline
from fraudctl.config.paths import stack_paths
from fraudctl.runtime.jvm.compile_scala import COMPILE_SECONDS, ensure_jvm_code
from fraudctl.runtime.jvm.java import find_java
from fraudctl.runtime.jvm.spark_submit import STATE_STORES


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    paths = stack_paths(None, "tests")
    java = find_java(paths, os.environ)
    os.environ["JAVA_HOME"] = str(java.home)
    code = ensure_jvm_code(
        java, replace(paths, home=tmp_path_factory.mktemp("home")), Deadline(COMPILE_SECONDS)
    )
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.extraClassPath", str(code))
        .config("spark.driver.extraJavaOptions", "-Duser.timezone=UTC")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.streaming.stateStore.providerClass", STATE_STORES["memory"])
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
