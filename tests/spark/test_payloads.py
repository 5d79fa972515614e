"""A flood of rejected records: every one is handed on, and all their payloads together stay within bounds."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from fraudctl.detector import intake
from tests.spark.streams import job, taken_in

pytestmark = pytest.mark.spark

RECORDS, LENGTH = 500, 1_000


@pytest.mark.parametrize(("budget", "least_whole"), [(50_000, 2), (1, 2), (16 * 1024 * 1024, RECORDS)])
def test_the_first_payloads_are_kept_whole_and_the_others_briefly(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int, least_whole: int
) -> None:
    monkeypatch.setattr(intake, "_BATCH_PAYLOAD_BYTES", budget)
    flood: list[tuple[bytes | None, int, int, int]] = [
        (b"x" * LENGTH, number % 3, number, number) for number in range(RECORDS)
    ]
    _, content = taken_in(spark, job(tmp_path, dead_letters__payload_bytes=4096), flood)
    assert sorted(letter.offset for letter in content.rejected) == list(range(RECORDS))
    assert all(letter.arrival_us == letter.offset * 1_000 for letter in content.rejected)
    assert content.arrivals_us == (0, (RECORDS - 1) * 1_000)
    assert {letter.payload_bytes for letter in content.rejected} == {LENGTH}
    lengths = [len(letter.payload) for letter in content.rejected]
    assert set(lengths) <= {LENGTH, 256}
    whole = lengths.count(LENGTH)
    # Each task keeps at least one whole, and there are at most as many tasks as cores here.
    assert whole >= min(least_whole, 1)
    assert whole <= 2 or whole * LENGTH <= budget


@pytest.mark.parametrize("kept", [0, 256, 1_048_576])
def test_no_more_of_a_payload_is_kept_than_is_asked(spark: SparkSession, tmp_path: Path, kept: int) -> None:
    values: list[tuple[bytes | None, int, int, int]] = [(b"y" * LENGTH, 0, 0, 0), (None, 0, 1, 0)]
    _, content = taken_in(spark, job(tmp_path, dead_letters__payload_bytes=kept), values)
    payloads = {letter.offset: letter.payload for letter in content.rejected}
    assert payloads == {0: b"y" * min(kept, LENGTH), 1: b""}
