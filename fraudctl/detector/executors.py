"""Executors of a cluster: a driver without any would wait for ever, so it is given a deadline."""

import time

from pyspark.sql import SparkSession

from fraudctl.clock import Deadline
from fraudctl.config.job import DetectorJob
from fraudctl.detector.explain import brief
from fraudctl.errors import NotReadyError, UnreachableError

_POLL_SECONDS = 0.5


class Executors:
    """Those of one session. With a local master the driver is its own executor, and nothing is asked."""

    def __init__(self, spark: SparkSession, master: str, seconds: float) -> None:
        self._spark = spark
        self._master = master
        self._seconds = seconds
        self._alone = Deadline(seconds)

    def wait(self) -> None:
        """Return when there is one.

        Raises:
            NotReadyError: there was none before the deadline.
        """
        while not self._any():
            self.check()
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """
        Raises:
            NotReadyError: the last one has been gone for as long as a cluster may take.
        """
        if self._any():
            self._alone = Deadline(self._seconds)
        elif self._alone.expired:
            raise NotReadyError(
                f"the Spark cluster at {self._master} has given no executor for {self._seconds:g} s",
                detail="no worker is registered there, or none has enough free cores and memory",
                hint="look at the logs of master and workers; spark.executor_seconds is how long to wait",
            )

    def _any(self) -> bool:
        if self._master.startswith("local"):
            return True
        # The driver's own block manager is one of them.
        return int(self._spark._jsc.sc().getExecutorMemoryStatus().size()) > 1


def session(job: DetectorJob) -> SparkSession:
    """A session, with at least one executor.

    Raises:
        UnreachableError: the cluster's master does not answer.
        NotReadyError: the cluster has given no executor in time.
    """
    builder = SparkSession.builder.appName("fraudctl detector")
    if not job.spark.is_cluster:
        return builder.getOrCreate()
    try:
        spark = builder.getOrCreate()
    except Exception as error:
        raise UnreachableError(
            f"the Spark master at {job.spark.master} does not answer",
            detail=brief(str(error)),
            hint="correct spark.master, or start the cluster; one of `docker.profiles: [spark]` is "
            "reached from containers only: `spark.submit: container`",
        ) from error
    try:
        Executors(spark, job.spark.master, job.spark.executor_seconds).wait()
    except BaseException:
        spark.stop()
        raise
    return spark
