"""Sums by slide and category (fraudctl/detector/jvm/SlideSums.scala) against Spark's own aggregation."""

from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

pytestmark = pytest.mark.spark

COLUMNS = ("count", "flagged_count", "amount_minor", "flagged_amount_minor")


def slide_sums(frame: DataFrame, minutes: int) -> DataFrame:
    spark = frame.sparkSession
    jvm: Any = spark._jvm
    return DataFrame(jvm.org.apache.spark.sql.fraudctl.SlideSums.of(frame._jdf, minutes * 60_000_000), spark)


def transactions(spark: SparkSession, number: int, minutes: int) -> DataFrame:
    """Transactions before and after 1970, spread over so many minutes and three categories."""
    return spark.range(number).selectExpr(
        f"timestamp_micros((id * 7919 % {minutes} - {minutes // 2}) * 60000000 + id % 60000000) event_time",
        "element_at(array('Retail', 'Food', 'Électronique'), CAST(id % 3 + 1 AS int)) AS category",
        "id * 37 % 100000 AS amount_minor",
        "id % 11 = 0 AS flagged",
    )


# More slides and categories than a task holds at once, so that some of them come in several rows.
@pytest.mark.parametrize(
    ("number", "minutes", "slide"), [(5_000, 30, 1), (5_000, 600, 5), (400_000, 90_000, 1)]
)
def test_sums_are_those_of_the_rows(spark: SparkSession, number: int, minutes: int, slide: int) -> None:
    rows = transactions(spark, number, minutes)
    found = (
        slide_sums(rows, slide)
        .groupBy("event_time", "category")
        .agg(*(F.sum(name).alias(name) for name in COLUMNS))
    )
    flagged = F.col("flagged")
    begin = F.window("event_time", f"{slide} minutes").getField("start")
    expected = rows.groupBy(begin.alias("event_time"), "category").agg(
        F.count("*").alias("count"),
        F.count_if(flagged).alias("flagged_count"),
        F.sum("amount_minor").alias("amount_minor"),
        F.sum(F.when(flagged, F.col("amount_minor")).otherwise(0)).alias("flagged_amount_minor"),
    )
    assert found.exceptAll(expected).count() == 0
    assert found.count() == expected.count()


def test_a_sum_that_does_not_fit_is_an_error(spark: SparkSession) -> None:
    rows = spark.range(3, numPartitions=1).selectExpr(
        "timestamp_micros(0) AS event_time",
        "'Food' AS category",
        "9000000000000000000 AS amount_minor",
        "false AS flagged",
    )
    with pytest.raises(Exception, match="overflow"):
        slide_sums(rows, 1).collect()
