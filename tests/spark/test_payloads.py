"""A flood of rejected records: every one is handed on, and all their payloads together stay within bounds."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from fraudctl.detector import intake
from tests.support.streams import job, taken_in

pytestmark = pytest.mark.spark

RECORDS, LENGTH, PAYLOAD_BYTES = 500, 1_000, 4096


@pytest.mark.parametrize(("budget", "lengths_kept"), [(50_000, {LENGTH, 256}), (1, {LENGTH, 256})])
def test_the_first_payloads_are_kept_whole_and_the_others_briefly(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int, lengths_kept: set[int]
) -> None:
    monkeypatch.setattr(intake, "_BATCH_PAYLOAD_BYTES", budget)
    lengths = flooded(spark, tmp_path)
    assert set(lengths) == lengths_kept
    # Records lie evenly in as many tasks as the session has cores.
    tasks = spark.sparkContext.defaultParallelism
    assert lengths.count(LENGTH) == tasks * max(1, budget // (PAYLOAD_BYTES + 1) // tasks)


def test_where_there_is_room_every_payload_is_kept_whole(spark: SparkSession, tmp_path: Path) -> None:
    assert set(flooded(spark, tmp_path)) == {LENGTH}


def flooded(spark: SparkSession, tmp_path: Path) -> list[int]:
    """How long the payloads are that are kept of a flood; nothing else of it is lost."""
    flood: list[tuple[bytes | None, int, int, int]] = [
        (b"x" * LENGTH, number % 3, number, number) for number in range(RECORDS)
    ]
    _, content = taken_in(spark, job(tmp_path, dead_letters__payload_bytes=PAYLOAD_BYTES), flood)
    assert sorted(letter.offset for letter in content.rejected) == list(range(RECORDS))
    assert all(letter.arrival_us == letter.offset * 1_000 for letter in content.rejected)
    assert content.arrivals_us == (0, (RECORDS - 1) * 1_000)
    assert {letter.payload_bytes for letter in content.rejected} == {LENGTH}
    return [len(letter.payload) for letter in content.rejected]


@pytest.mark.parametrize("kept", [0, 256, 4096, 1_048_576])
@pytest.mark.parametrize("tasks", [1, 2, 200])
def test_the_payloads_of_a_batch_fit_into_memory(spark: SparkSession, kept: int, tasks: int) -> None:
    jvm: Any = spark._jvm
    whole = jvm.fraudctl.RecordReader.payloadsKeptWhole(intake._BATCH_PAYLOAD_BYTES, kept, tasks)
    assert whole >= 1
    assert whole == 1 or whole * tasks * kept <= 16 * 1024 * 1024


@pytest.mark.parametrize("kept", [0, 256, 1_048_576])
def test_no_more_of_a_payload_is_kept_than_is_asked(spark: SparkSession, tmp_path: Path, kept: int) -> None:
    values: list[tuple[bytes | None, int, int, int]] = [(b"y" * LENGTH, 0, 0, 0), (None, 0, 1, 0)]
    _, content = taken_in(spark, job(tmp_path, dead_letters__payload_bytes=kept), values)
    payloads = {letter.offset: letter.payload for letter in content.rejected}
    assert payloads == {0: b"y" * min(kept, LENGTH), 1: b""}
