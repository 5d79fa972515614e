"""Spark's failures in the words of this program; the log file has the whole trace."""

import re

from pyspark.errors import StreamingQueryException

from fraudctl.errors import DataError, FraudctlError, RefusedError, UnreachableError


def explained(error: StreamingQueryException) -> FraudctlError:
    """Spark's failure in the words of this program; the log file has the whole trace."""
    text = str(error)
    brief = "\n".join(text.splitlines()[:4])[:2000]
    if re.search(r"KAFKA_DATA_LOSS|data may have been lost|may have been lost|aged out", text):
        return RefusedError(
            "records that were not read yet are gone from the topic",
            detail=brief,
            hint="retention removed them or the topic was recreated; nothing was skipped silently",
        )
    if re.search(r"TimeoutException|DisconnectException|No resolvable bootstrap|Timed out", text):
        return UnreachableError(
            "the broker does not answer any more", detail=brief, hint="look at `fraudctl status`"
        )
    return DataError(
        "the streaming query failed", detail=brief, hint="`fraudctl logs detector` has the trace"
    )
