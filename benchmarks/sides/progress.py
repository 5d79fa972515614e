"""Progress of the Spark scripts: each finished micro-batch becomes a line of FOLDER/progress.jsonl."""

import json
from pathlib import Path

from pyspark.sql.streaming.query import StreamingQuery

_POLL_SECONDS = 0.5


def follow(query: StreamingQuery, folder: Path) -> None:
    """Write down the micro-batches of a query until it has ended."""
    seen: set[int] = set()
    while not query.awaitTermination(_POLL_SECONDS):  # type: ignore[arg-type] # takes fractions
        _write(query, folder, seen)
    _write(query, folder, seen)


def _write(query: StreamingQuery, folder: Path, seen: set[int]) -> None:
    with (folder / "progress.jsonl").open("a", encoding="utf-8") as stream:
        for progress in query.recentProgress:
            durations = progress["durationMs"]
            if progress["batchId"] in seen or "addBatch" not in durations:
                continue
            seen.add(progress["batchId"])
            line = {
                "batch_id": progress["batchId"],
                "records": progress["numInputRows"],
                "began": progress["timestamp"],
                "trigger_ms": durations["triggerExecution"],
            }
            stream.write(json.dumps(line) + "\n")
