"""What Spark's failures become: the cause in words, never a trace."""

import pytest
from pyspark.errors import StreamingQueryException

from fraudctl.detector.explain import explained
from fraudctl.errors import DataError, FraudctlError, RefusedError, UnreachableError

PREFIX = (
    "[STREAM_FAILED] Query [id = 5, runId = 3] terminated with exception: [FOREACH_BATCH_USER_FUNCTION_ERROR]"
    " An error occurred in the user provided function in foreach batch sink. Reason: An exception was raised"
    " by the Python Proxy. Return Message: Traceback (most recent call last):\n"
    '  File "clientserver.py", line 644, in _call_proxy\n'
    "py4j.protocol.Py4JJavaError: An error occurred while calling o7.collectToPython.\n: "
)
STATE = "org.apache.spark.SparkException: [CANNOT_LOAD_STATE_STORE.UNCATEGORIZED] An error occurred."
CHECKSUM = (
    "org.apache.hadoop.fs.ChecksumException: Checksum error:"
    " file:/home/me/checkpoint/state/0/0/23.delta at 0 exp: 1 got: 2"
)
KAFKA = "org.apache.spark.sql.kafka010.KafkaIllegalStateException"


@pytest.mark.parametrize(
    ("thrown", "kind", "says", "detail"),
    [
        (
            f"{STATE}\n\tat org.apache.Somewhere.f(S.scala:1)\nCaused by: {CHECKSUM}\n\tat x.Y.z(Y.java:2)",
            DataError,
            "/home/me/checkpoint/state/0/0/23.delta",
            "Checksum error",
        ),
        (
            f"{STATE}\nCaused by: java.io.EOFException: Stream ended prematurely",
            DataError,
            "a file of it",
            "ended prem",
        ),
        (
            f"{KAFKA}: [KAFKA_DATA_LOSS.START_OFFSET_RESET] Some data",
            RefusedError,
            "gone from the topic",
            "START_OFFSET_RESET",
        ),
        (
            "org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment",
            UnreachableError,
            "does not answer",
            "node assignment",
        ),
        (
            f"{STATE}\nCaused by: java.io.IOException: No space left on device",
            UnreachableError,
            "disk that the detector writes to is full",
            "No space left",
        ),
        (
            "java.lang.ArithmeticException: long overflow",
            DataError,
            "streaming query failed",
            "long overflow",
        ),
    ],
)
def test_the_cause_is_told_without_a_trace(
    thrown: str, kind: type[FraudctlError], says: str, detail: str
) -> None:
    error = explained(StreamingQueryException(PREFIX + thrown))
    assert type(error) is kind
    assert says in error.message
    assert detail in error.detail
    told = error.message + error.detail + error.hint
    assert "Traceback" not in told
    assert "\tat " not in told
    assert "Proxy" not in told
    assert error.hint
