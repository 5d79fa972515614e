"""Spark's foreachBatch without its Python frames: the function is handed the batch as the JVM has it.

pyspark's own wrapper makes a Python session and a Python frame for every batch, and looks each of their
classes up by name: some 7 % of the time of a small batch.
"""

from collections.abc import Callable
from typing import Any

from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql.streaming.readwriter import DataStreamWriter

# The batch, a Dataset[Row] of the JVM, and its number.
OnBatch = Callable[[Any, int], None]


class _Function:
    """What Spark calls back; the name of `Java` is py4j's protocol."""

    def __init__(self, function: OnBatch) -> None:
        self._function = function

    def call(self, batch: Any, batch_id: int) -> None:
        self._function(batch, batch_id)

    class Java:
        implements = ("org.apache.spark.sql.execution.streaming.sources.PythonForeachBatchFunction",)


def foreach_batch(writer: DataStreamWriter, function: OnBatch) -> DataStreamWriter:
    """Have the query hand each of its micro-batches to a function."""
    gateway = writer._spark._sc._gateway
    assert gateway is not None
    helper = gateway.jvm.org.apache.spark.sql.execution.streaming.sources.PythonForeachBatchHelper
    helper.callForeachBatch(writer._jwrite, _Function(function))
    ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
    return writer
