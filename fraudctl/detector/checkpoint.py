"""Read Spark's own write-ahead log: the offsets of a micro-batch, and its watermark.

Layout of a checkpoint (Spark's HDFSMetadataLog): `metadata` holds {"id": <query id>}; `offsets/N` is
written before batch N runs and holds a version line, a line {"batchWatermarkMs": …, "batchTimestampMs": …}
and one line per source with the end offsets {"<topic>": {"<partition>": <offset>}}; the start offsets are
the end offsets of N-1, and for the first batch those in `sources/<n>/0`.

Files are read through Hadoop's FileSystem, so a checkpoint on HDFS or S3 works as well as a local one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from fraudctl.errors import DataError


@dataclass(frozen=True)
class PlannedBatch:
    """The plan of one batch.

    `offsets` maps a partition to (first, one past the last). `watermark_ms` is in milliseconds since the
    epoch, 0 at first. `planned_ms` is the time of the plan, by the clock of Spark's driver.
    """

    batch_id: int
    offsets: dict[int, tuple[int, int]]
    watermark_ms: int
    planned_ms: int


class Checkpoint:
    """The checkpoint folder of one query over one topic."""

    def __init__(
        self, spark: SparkSession, location: str, topic: str, bounds: Mapping[int, int] | None = None
    ) -> None:
        """Open the folder.

        Args:
            spark: the session.
            location: URI of the folder.
            topic: the topic that the query reads.
            bounds: one past the last offset that is read of each partition, if the query has such an end.
                Spark itself plans beyond it, and the records there are skipped.
        """
        jvm: Any = spark._jvm
        # Kept in attributes, because py4j searches every jar each time that a class is named.
        self._path = jvm.org.apache.hadoop.fs.Path
        self._whole_text = jvm.org.apache.commons.io.IOUtils.toString
        self._root = location
        self._topic = topic
        self._bounds = bounds
        self._files = self._path(location).getFileSystem(spark._jsc.hadoopConfiguration())
        self._query_id = ""
        self._ends: tuple[int, dict[int, int]] = (-1, {})  # end offsets of the last requested batch

    def query_id(self) -> str:
        """Return the id that Spark keeps for this checkpoint, a UUID as text."""
        if not self._query_id:
            self._query_id = str(json.loads(self._read("metadata"))["id"])
        return self._query_id

    def planned(self, batch_id: int) -> PlannedBatch:
        """Return the plan of a batch, from `offsets/<batch_id>`.

        Raises:
            DataError: a file is missing or is not what Spark writes.
        """
        ends, watermark_ms, planned_ms = self._offsets(batch_id)
        known_id, starts = self._ends
        if batch_id == 0:
            starts = self._initial_offsets()
        elif known_id != batch_id - 1:
            starts = self._offsets(batch_id - 1)[0]
        self._ends = batch_id, ends
        # A partition that was added later begins at its earliest offset, which for a new one is 0.
        spans = {
            partition: self._bounded(partition, starts.get(partition, 0), end)
            for partition, end in sorted(ends.items())
        }
        return PlannedBatch(batch_id, spans, watermark_ms, planned_ms)

    def _bounded(self, partition: int, start: int, end: int) -> tuple[int, int]:
        if self._bounds is None:
            return start, end
        bound = self._bounds.get(partition, 0)
        return min(start, bound), min(end, bound)

    def _offsets(self, batch_id: int) -> tuple[dict[int, int], int, int]:
        lines = self._read(f"offsets/{batch_id}").splitlines()
        try:
            facts = json.loads(lines[1])
            watermark_ms, planned_ms = int(facts["batchWatermarkMs"]), int(facts["batchTimestampMs"])
            sources = [self._of_topic(line) for line in lines[2:] if line != "-"]
        except (IndexError, KeyError, ValueError) as error:
            raise DataError(f"the checkpoint's offsets/{batch_id} is not what Spark writes") from error
        if not sources or any(source != sources[0] for source in sources):
            raise DataError(f"the checkpoint's offsets/{batch_id} does not cover one range of {self._topic}")
        return sources[0], watermark_ms, planned_ms

    def _initial_offsets(self) -> dict[int, int]:
        text = self._read("sources/0/0")
        # A version line, then JSON; Spark writes a zero byte first for compatibility with its 2.1.
        return self._of_topic(text[text.index("{") :])

    def _of_topic(self, line: str) -> dict[int, int]:
        return {int(partition): int(offset) for partition, offset in json.loads(line)[self._topic].items()}

    def _read(self, name: str) -> str:
        path = self._path(f"{self._root}/{name}")
        if not self._files.exists(path):
            raise DataError(
                f"the checkpoint lacks its file {name}",
                detail=f"in {self._root}",
                hint="a damaged checkpoint cannot be continued; restore it whole",
            )
        stream = self._files.open(path)
        try:
            return str(self._whole_text(stream, "UTF-8"))
        finally:
            stream.close()
