"""Spark's foreachBatch without its Python frames: the function gets the batch as an object of the JVM.

pyspark's own wrapper makes a Python session and a Python frame for every batch, and looks up each of their
classes by name: some 7 % of the time of a small batch.
"""

from collections.abc import Callable
from typing import Any

from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql.streaming.readwriter import DataStreamWriter

# The batch, a Dataset[Row] of the JVM, and its number.
OnBatch = Callable[[Any, int], None]


class _Function:
    """The callback for Spark; py4j's protocol requires the inner class `Java`."""

    def __init__(self, function: OnBatch) -> None:
        self._function = function

    def call(self, batch: Any, batch_id: int) -> None:
        self._function(batch, batch_id)

    class Java:
        implements = ("org.apache.spark.sql.execution.streaming.sources.PythonForeachBatchFunction",)


def foreach_batch(writer: DataStreamWriter, function: OnBatch) -> DataStreamWriter:
    """Have the query pass each of its micro-batches to a function; return the writer."""
    gateway = writer._spark._sc._gateway
    assert gateway is not None
    helper = gateway.jvm.org.apache.spark.sql.execution.streaming.sources.PythonForeachBatchHelper
    helper.callForeachBatch(writer._jwrite, _Function(function))
    ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
    return writer
