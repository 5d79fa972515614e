"""What a user is told when Spark fails: the cause, and none of the wrappers around it."""

from pyspark.errors import StreamingQueryException

from fraudctl.detector.explain import explained
from fraudctl.errors import RefusedError

# As it comes out of Spark 4.2 when the sink's own action meets the loss; shortened.
LOSS = """[STREAM_FAILED] Query [id = 2504d8ae, runId = b8a42174] terminated with exception: \
[FOREACH_BATCH_USER_FUNCTION_ERROR] An error occurred in the user provided function in foreach batch sink. \
Reason: An exception was raised by the Python Proxy. Return Message: Traceback (most recent call last):
  File "/somewhere/py4j/clientserver.py", line 644, in _call_proxy
    return_value = getattr(self.pool[obj_id], method)(*params)
                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
py4j.protocol.Py4JJavaError: An error occurred while calling o123.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 9.0 failed 1 times
\tat org.apache.spark.scheduler.DAGScheduler.abortStage(DAGScheduler.scala:2935)
Caused by: java.lang.IllegalStateException: Cannot fetch offset 90. Some data may have been lost because \
they are not available in Kafka any more; either the data was aged out by Kafka or the topic is deleted.
\t... 1 more
"""


def test_lost_data_is_named_without_a_trace() -> None:
    found = explained(StreamingQueryException(LOSS))
    assert isinstance(found, RefusedError)
    assert found.message == "records that were not read yet are gone from the topic"
    lines = found.detail.splitlines()
    assert "Cannot fetch offset 90" in lines[0]
    assert len(lines) <= 4
    for noise in ("Traceback", "File ", "return_value", "^^^", "\tat ", "py4j"):
        assert noise not in found.detail
