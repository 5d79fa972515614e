"""The state of deduplication in a query: it does what Spark's own does, and is only for digests.

tests/spark/test_digest_table.py has the table and the files by themselves.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import sleep
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession

from fraudctl.checkpoint.rewind import rewound
from fraudctl.clock import Deadline
from fraudctl.detector.explain import explained
from fraudctl.errors import DataError
from fraudctl.runtime.jvm.spark_submit import STATE_STORES

pytestmark = pytest.mark.spark

MAGIC = b"frd1"
SPARKS_OWN = "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider"
RECORDS = "digest binary, event_time timestamp"
BEGIN = 1_773_144_000
Batch = Sequence[tuple[bytes, float]]


def drawn_log(seed: int, batches: int, size: int = 60) -> list[list[tuple[bytes, float]]]:
    """(digest, event time in seconds): new ones and copies of what any batch before brought; time goes on."""
    draw = random.Random(seed)
    log: list[list[tuple[bytes, float]]] = []
    earlier: list[tuple[bytes, float]] = []
    for number in range(batches):
        rows = []
        for place in range(size):
            if earlier and draw.random() < 0.4:
                rows.append(draw.choice(earlier[-4 * size :]))
            else:
                digest = sha256(f"{seed} {number} {place}".encode()).digest()
                rows.append((digest, BEGIN + 15 * number - draw.choice([0, 1, 30, draw.random() * 70])))
        earlier += rows
        log.append(rows)
    return log


@dataclass(frozen=True)
class Outcome:
    """What a batch let pass, and what its state operator counted."""

    passed: tuple[bytes, ...]
    rows_total: int
    rows_removed: int
    duplicates: int
    late: int


class TooFarError(Exception):
    """Ends a query before a batch that it was not to run."""


class Dedupe:
    """A deduplicating query with a checkpoint, started as often as it takes."""

    def __init__(self, spark: SparkSession, folder: Path, key: str = "digest") -> None:
        self.spark, self.folder, self.key = spark, folder, key
        self.checkpoint = folder / "checkpoint"
        (folder / "log").mkdir(parents=True)
        self.outcomes: dict[int, Outcome] = {}
        self._written = 0

    def add(self, batches: Sequence[Batch]) -> None:
        for rows in batches:
            digests, moments = zip(*rows, strict=True)
            table = pa.table(
                {
                    "digest": pa.array(digests, pa.binary()),
                    "event_time": pa.array([datetime.fromtimestamp(at, UTC) for at in moments]),
                }
            )
            file = self.folder / "log" / f"{self._written:04d}.parquet"
            pq.write_table(table, file)
            os.utime(file, (BEGIN + self._written,) * 2)  # the source takes them by age, one at a time
            self._written += 1

    def run(self, last: int | None = None, wait_for: str = "") -> None:
        """Run what there is, up to batch `last`; at the end wait for a file in the state's folders."""
        passed: dict[int, tuple[bytes, ...]] = {}

        def take(frame: Any, number: int) -> None:
            if last is not None and number > last:
                raise TooFarError
            passed[number] = tuple(sorted(bytes(row.digest) for row in frame.collect()))
            deadline = Deadline(60)
            while wait_for and number == self._written - 1 and not self.state_files(wait_for):
                assert not deadline.expired, f"there is no {wait_for}"
                sleep(0.05)

        source = (
            self.spark.readStream.schema(RECORDS)
            .option("maxFilesPerTrigger", 1)
            .parquet(str(self.folder / "log"))
        )
        frame = source.selectExpr(f"{self.key} AS digest", "event_time").withWatermark(
            "event_time", "60 seconds"
        )
        query = (
            frame.dropDuplicatesWithinWatermark(["digest"])
            .writeStream.foreachBatch(take)
            .option("checkpointLocation", str(self.checkpoint))
            .trigger(availableNow=True)
            .start()
        )
        try:
            assert query.awaitTermination(300), "the query did not end"
        except StreamingQueryException as error:
            if "TooFarError" not in str(error):
                raise
        finally:
            progress = query.recentProgress
            query.stop()
        for one in progress:
            operator = one["stateOperators"][0]
            self.outcomes[one["batchId"]] = Outcome(
                passed[one["batchId"]],
                operator["numRowsTotal"],
                operator["numRowsRemoved"],
                operator["customMetrics"]["numDroppedDuplicateRows"],
                operator["numRowsDroppedByWatermark"],
            )

    def state_files(self, pattern: str) -> list[Path]:
        return sorted((self.checkpoint / "state" / "0").glob(f"*/{pattern}"))


@contextmanager
def state_store(spark: SparkSession, provider: str, **more: str) -> Iterator[None]:
    """Use this provider; its maintenance begins anew, with the interval that is set then."""
    conf = {
        "stateStore.providerClass": provider,
        "noDataMicroBatches.enabled": "false",
        "numRecentProgressUpdates": "200",
        **more,
    }
    names = {f"spark.sql.streaming.{name}": value for name, value in conf.items()}
    before = {name: spark.conf.get(name, None) for name in names}
    jvm: Any = spark._jvm
    stores = jvm.org.apache.spark.sql.execution.streaming.state.StateStore
    stores.stop()
    for name, value in names.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        stores.stop()
        for name, old in before.items():
            spark.conf.unset(name) if old is None else spark.conf.set(name, old)


def test_stopped_continued_and_taken_back_it_does_what_sparks_own_store_does(
    spark: SparkSession, tmp_path: Path
) -> None:
    log = drawn_log(1, 20)
    sparks_own = Dedupe(spark, tmp_path / "own")
    sparks_own.add(log)
    with state_store(spark, SPARKS_OWN):
        sparks_own.run()
    ours = Dedupe(spark, tmp_path / "ours")
    maintained = {
        "stateStore.maintenanceInterval": "200ms",
        # `StateStore.stop` waits for a task that may wait for the lock that `stop` holds.
        "stateStore.maintenanceShutdownTimeout": "3s",
        "minBatchesToRetain": "4",
    }
    with state_store(spark, STATE_STORES["memory"], **maintained):
        ours.add(log[:12])
        ours.run(wait_for="*.snapshot")
        assert ours.outcomes == {number: sparks_own.outcomes[number] for number in range(12)}
        ours.add(log[12:18])
        ours.run(last=15)  # batch 16 is planned and does not run
        ours.run()
        assert ours.outcomes == {number: sparks_own.outcomes[number] for number in range(18)}
        for number in rewound(ours.checkpoint, 3):
            del ours.outcomes[number]
            ours.run(last=number)
        assert ours.outcomes == {number: sparks_own.outcomes[number] for number in range(18)}
        ours.add(log[18:])
        ours.run(wait_for="*.snapshot")
    assert ours.outcomes == sparks_own.outcomes
    # It was worth it: files were put together and removed, and all kinds of records were there.
    assert not ours.state_files("1.delta")
    total = Counter[str]()
    for outcome in ours.outcomes.values():
        total.update(removed=outcome.rows_removed, duplicates=outcome.duplicates, late=outcome.late)
    assert min(total.values()) > 20, total


def test_a_damaged_state_stops_the_query_and_is_named(spark: SparkSession, tmp_path: Path) -> None:
    query = Dedupe(spark, tmp_path)
    with state_store(spark, STATE_STORES["memory"]):
        query.add(drawn_log(2, 3))
        query.run()
        query.add(drawn_log(3, 1))
        damaged = query.state_files("2.delta")[0]
        damaged.write_bytes(damaged.read_bytes()[:-1])
        with pytest.raises(StreamingQueryException) as raised:
            query.run()
    told = explained(raised.value)
    assert isinstance(told, DataError)
    assert told.message.endswith(f"cannot read {damaged}")


@pytest.mark.parametrize(
    ("key", "value", "fits"),
    [
        ("digest binary", "expiresAtMicros bigint", True),
        ("digest string", "expiresAtMicros bigint", False),
        ("digest bigint", "expiresAtMicros bigint", False),
        ("transaction_id binary", "expiresAtMicros bigint", False),
        ("digest binary, category string", "expiresAtMicros bigint", False),
        ("digest binary", "expiresAtMicros timestamp", False),
        ("digest binary", "count bigint", False),
        ("digest binary", "expiresAtMicros bigint, count bigint", False),
        (
            "window struct<start: timestamp, end: timestamp>, category string",
            "count bigint, sum bigint",
            False,
        ),
    ],
)
def test_only_a_state_of_digests_is_kept_in_the_table(
    spark: SparkSession, key: str, value: str, fits: bool
) -> None:
    jvm: Any = spark._jvm
    schema = jvm.org.apache.spark.sql.types.StructType.fromDDL
    provider = jvm.org.apache.spark.sql.fraudctl.DigestStateStoreProvider
    assert provider.fits(schema(key), schema(value)) == fits


def test_another_key_is_kept_by_sparks_own_store(spark: SparkSession, tmp_path: Path) -> None:
    for name, key in (("digests", "digest"), ("texts", "hex(digest)")):
        query = Dedupe(spark, tmp_path / name, key)
        with state_store(spark, STATE_STORES["memory"]):
            query.add(drawn_log(4, 1))
            if name == "digests":
                query.run()
                assert {file.read_bytes()[:4] for file in query.state_files("1.delta")} == {MAGIC}
            else:
                with pytest.raises(StreamingQueryException):  # `take` wants bytes; the state was made before
                    query.run()
                assert MAGIC not in {file.read_bytes()[:4] for file in query.state_files("*.delta")}


@pytest.mark.parametrize("size", [0, 8, 24, 25, 31, 33, 40])
def test_a_key_of_another_length_is_refused(spark: SparkSession, tmp_path: Path, size: int) -> None:
    query = Dedupe(spark, tmp_path, f"substring(concat(digest, digest), 1, {size})")
    with state_store(spark, STATE_STORES["memory"]):
        query.add(drawn_log(5, 1, size=3))
        with pytest.raises(StreamingQueryException, match="a digest has 32 bytes"):
            query.run()
