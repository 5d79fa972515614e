"""The detector's transforms against the golden cases that the recount satisfies too."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.golden import MESSAGES, WINDOWS, value_bytes
from tests.support.streams import admitted, instant_us, job, land, rejected, taken_in, windows_of

pytestmark = pytest.mark.spark


def test_every_golden_message_gets_its_reason(spark: SparkSession, tmp_path: Path) -> None:
    rows = [(value_bytes(case), 0, number, case["arrival_ms"]) for number, case in enumerate(MESSAGES)]
    _, content = taken_in(spark, job(tmp_path), rows)
    refused = rejected(content)
    found = {number: refused.get((0, number), "admitted") for number in range(len(MESSAGES))}
    wrong = [
        f"{case['name']}: expected {case['expect']}, found {found[number]}"
        for number, case in enumerate(MESSAGES)
        if found[number] != case["expect"]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("case", WINDOWS, ids=[case["name"] for case in WINDOWS])
def test_golden_windows(spark: SparkSession, tmp_path: Path, case: dict) -> None:  # type: ignore[type-arg]
    batch = [
        (value_bytes(record), record["partition"], record["offset"], record["arrival_ms"])
        for record in case["records"]
    ]
    landed = land(spark, tmp_path, [batch])
    expected = {
        (instant_us(row["window_start"]), instant_us(row["window_end"]), row["category"]): (
            row["count"],
            row["flagged_count"],
            row["amount_minor"],
            row["flagged_amount_minor"],
        )
        for row in case["windows"]
    }
    assert windows_of(landed[0]) == expected
    assert len(rejected(landed[0])) + sum(admitted(landed[0]).values()) == len(batch)
