"""A flood of refused records: every one is handed on, and all their payloads together stay within bounds."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from fraudctl.detector.transforms import intake, summarise, whole_payloads
from tests.spark.streams import RULES, checked, job

pytestmark = pytest.mark.spark

RECORDS, WHOLE = 500, 10


def test_the_first_payloads_are_kept_whole_and_the_others_briefly(
    spark: SparkSession, tmp_path: Path
) -> None:
    value = b"x" * 1_000
    flood = checked(spark, [(value, number % 3, number, number) for number in range(RECORDS)])
    summarised = summarise(intake(flood, 4096, RULES), WHOLE)
    rows = summarised.collect()
    assert sorted(row.offset for row in rows) == list(range(RECORDS))
    assert all(row.newest_arrival_us == row.offset * 1_000 for row in rows)
    assert {row.payload_bytes for row in rows} == {len(value)}
    lengths = [len(row.payload) for row in rows]
    assert set(lengths) == {len(value), 256}
    assert WHOLE <= lengths.count(len(value)) <= WHOLE * summarised.rdd.getNumPartitions()


@pytest.mark.parametrize("kept", [0, 256, 4096, 1_048_576])
@pytest.mark.parametrize("partitions", [1, 2, 200])
def test_the_payloads_of_a_batch_fit_into_memory(tmp_path: Path, kept: int, partitions: int) -> None:
    the_job = job(tmp_path, dead_letters__payload_bytes=kept, spark__shuffle_partitions=partitions)
    whole = whole_payloads(the_job)
    assert whole >= 1
    assert whole == 1 or whole * partitions * kept <= 16 * 1024 * 1024
