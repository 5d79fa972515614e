"""Translate Spark's failures into fraudctl's errors; the log file has the full trace."""

import re

from pyspark.errors import StreamingQueryException

from fraudctl.errors import (
    REBUILD,
    RECORDS_GONE,
    RECORDS_GONE_HINT,
    DataError,
    FraudctlError,
    RefusedError,
    UnreachableError,
)

_DATA_LOSS = re.compile(r"KAFKA_DATA_LOSS|may have been lost|aged out")
_SILENT_BROKER = re.compile(r"TimeoutException|DisconnectException|No resolvable bootstrap|Timed out")
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|There is not enough space")
_DAMAGE = re.compile(
    r"CANNOT_LOAD_STATE_STORE|CANNOT_READ_(?:DELTA|SNAPSHOT|STREAMING_STATE)|STATE_STORE_\w+|ChecksumException"
    r"|Checksum error|[Ii]ncomplete log file|MISSING_METADATA_FILE|[Bb]atch \d+ doesn't exist|MalformedLog"
    r"|Log file was malformed|OPERATOR_NOT_MATCH_IN_STATE_METADATA|EOFException"
)
_FILE = re.compile(r"(?:file:/*)?(/[^\s,;'\"]*/(?:metadata|(?:offsets|commits|sources|state)/[^\s,;:'\"]+))")
# Exceptions anywhere in the text, and the wrappers among them that only pass another one on.
_THROWN = re.compile(r"(?:[\w$]+\.)+[\w$]*(?:Exception|Error): (.+)")
_MESSENGERS = re.compile(
    r"Python Proxy|STREAM_FAILED|FOREACH_BATCH_USER_FUNCTION_ERROR|An error occurred while calling"
)


def explained(error: StreamingQueryException) -> FraudctlError:
    """Return the error that the user is shown."""
    text = str(error)
    cause = brief(text)
    if _DATA_LOSS.search(text):
        return RefusedError(
            RECORDS_GONE,
            detail=cause,
            hint=RECORDS_GONE_HINT,
        )
    if _DISK_FULL.search(text):
        return UnreachableError(
            "a disk that the detector writes to is full: the one of its checkpoint, or of Spark's own files",
            detail=cause,
            hint="nothing is lost: free space, look with `df`, and run `fraudctl detect` again",
        )
    if _DAMAGE.search(text):
        return _damaged(text, cause)
    if _SILENT_BROKER.search(text):
        return UnreachableError(
            "the broker does not answer any more", detail=cause, hint="look at `fraudctl status`"
        )
    return DataError(
        "the streaming query failed",
        detail=cause,
        hint="`fraudctl logs detector` has the trace; "
        f"if it speaks of the checkpoint, restore that, or {REBUILD}",
    )


def _damaged(text: str, cause: str) -> FraudctlError:
    named = _FILE.search(text)
    return DataError(
        "the detector's checkpoint is damaged: Spark cannot read " + (named[1] if named else "a file of it"),
        detail=cause,
        hint=f"restore the checkpoint whole, or {REBUILD}; nothing was changed in the database",
    )


def brief(text: str) -> str:
    """Return up to three causes, one line each, the root cause first, without stack frames."""
    thrown = [found[0].strip()[:500] for found in _THROWN.finditer(text) if not _MESSENGERS.search(found[0])]
    return "\n".join(list(dict.fromkeys(reversed(thrown)))[:3]) or text.splitlines()[0][:500]
