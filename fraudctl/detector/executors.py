"""Wait for a cluster's executors with a time limit; without any, Spark's driver would wait forever."""

import time

from pyspark.sql import SparkSession

from fraudctl.clock import Deadline
from fraudctl.config.job import DetectorJob
from fraudctl.detector.explain import brief
from fraudctl.errors import NotReadyError, UnreachableError

_POLL_SECONDS = 0.5


class Executors:
    """The executors of one Spark session; with a local master the driver is its own executor."""

    def __init__(self, spark: SparkSession, master: str, seconds: float) -> None:
        """Remember the session.

        Args:
            spark: the session.
            master: address of its master.
            seconds: how long it may have no executor, in seconds.
        """
        self._spark = spark
        self._master = master
        self._seconds = seconds
        self._alone = Deadline(seconds)

    def wait(self) -> None:
        """Wait until there is an executor.

        Raises:
            NotReadyError: there was none before the deadline.
        """
        while not self._any():
            self.check()
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Check that the time without any executor has not exceeded the limit.

        Raises:
            NotReadyError: there has been no executor for longer than the limit.
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
        # The list includes the driver's own block manager.
        return int(self._spark._jsc.sc().getExecutorMemoryStatus().size()) > 1


def session(job: DetectorJob) -> SparkSession:
    """Return a Spark session with at least one executor.

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
