"""The progress file: one JSON line per committed micro-batch, for observers outside the detector."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql.streaming.query import StreamingQuery

from fraudctl.config.job import DetectorJob
from fraudctl.database.landing import Landed, MicroBatch


class ProgressLog:
    """A writer of progress lines that joins the sink's and Spark's figures of each batch."""

    def __init__(self, job: DetectorJob) -> None:
        """Prepare to append to the job's progress file."""
        self._file = job.progress_file
        self._landed: dict[int, dict[str, Any]] = {}
        self._held_back_seconds = 0

    def started(self, query_id: str, epoch: int, held_back_seconds: int) -> None:
        """Append a line that says that the query runs; a restarted query gets another one.

        Args:
            query_id: Spark's id of the query.
            epoch: the epoch of the detector's lease.
            held_back_seconds: how much longer the watermark's delay is than the settings ask for, in seconds.
        """
        self._held_back_seconds = held_back_seconds
        self._write({"query_id": query_id, "epoch": epoch})

    def landed(self, batch: MicroBatch, landed: Landed) -> None:
        """Remember the sink's figures of a committed batch; the sink calls this on its own thread."""
        fates: dict[str, int] = {}
        for counts in batch.intake.values():
            for fate, count in counts.items():
                fates[fate] = fates.get(fate, 0) + count
        self._landed[batch.batch_id] = {
            "batch_id": batch.batch_id,
            "replayed": landed.replayed,
            "windows": landed.windows,
            "alerts": landed.alerts,
            "flags": landed.flags,
            "rule_set": batch.rule_set,
            "fates": fates,
            "watermark_ms": batch.watermark_ms,
            "held_back_seconds": self._held_back_seconds,
            "end_offsets": {str(partition): span[1] for partition, span in batch.offsets.items()},
        }

    def publish(self, query: StreamingQuery) -> None:
        """Append a line for each batch that PostgreSQL and Spark have both committed."""
        if not self._landed:
            return
        last = query.lastProgress
        # Usually one batch has ended since the last call, and reading all recent progress is slow.
        alone = len(self._landed) == 1 and last is not None and last["batchId"] in self._landed
        for progress in [last] if alone and last is not None else query.recentProgress:
            line = self._landed.get(progress["batchId"])
            durations = progress["durationMs"]
            if line is None or "addBatch" not in durations:
                continue
            del self._landed[progress["batchId"]]
            line["trigger_ms"] = durations["triggerExecution"]
            line["durations_ms"] = dict(durations)
            line["state_rows"] = sum(operator["numRowsTotal"] for operator in progress["stateOperators"])
            line["duplicates"] = sum(
                operator.get("customMetrics", {}).get("numDroppedDuplicateRows", 0)
                for operator in progress["stateOperators"]
            )
            line["dropped_by_watermark"] = sum(
                operator["numRowsDroppedByWatermark"] for operator in progress["stateOperators"]
            )
            line["finished_at"] = progress["timestamp"]
            line["behind"] = _behind(progress["sources"])
            self._write(line)

    @property
    def waiting(self) -> bool:
        """Return True if Spark has not published the figures of a committed batch yet."""
        return bool(self._landed)

    def _write(self, line: dict[str, Any]) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _behind(sources: Sequence[Mapping[str, str]]) -> int:
    """Count the records that the topic held beyond the batch when the batch was planned.

    Where two branches of a query read the topic, both name the same offsets.
    """
    if not sources:
        return 0
    latest, end = (json.loads(sources[0][name] or "{}") or {} for name in ("latestOffset", "endOffset"))
    return sum(
        offset - end.get(topic, {}).get(partition, 0)
        for topic, partitions in latest.items()
        for partition, offset in partitions.items()
    )
