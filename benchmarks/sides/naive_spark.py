"""Naive Spark: the job as tutorials write it, with the same deduplication and the same windows as `detect`.

    spark-submit … naive_spark.py --bootstrap-servers … --topic … --batch N --partitions N --folder FOLDER

It has no ledger, no lease, no dead letters, no alerts, no strict parser and no proof. Rows go to the table
`windows` of the database in BENCH_DSN.
"""

import argparse
import os
from pathlib import Path

import psycopg
from progress import follow
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

SCHEMA = """
    schema_version int, transaction_id string, event_time timestamp, card_id string, merchant_id string,
    category string, amount_minor bigint, currency string, country string, channel string
"""
# The same as the sum of fraudctl's late, future and slack seconds.
WATERMARK = "15 minutes"
UPSERT = """
    INSERT INTO windows (window_start, window_end, category, count, flagged_count, amount_minor,
                         flagged_amount_minor)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (window_start, category) DO UPDATE
       SET count = EXCLUDED.count, flagged_count = EXCLUDED.flagged_count,
           amount_minor = EXCLUDED.amount_minor, flagged_amount_minor = EXCLUDED.flagged_amount_minor
"""


def windows(records: DataFrame) -> DataFrame:
    """Parse, deduplicate and count."""
    parsed = F.from_json(F.col("value").cast("string"), SCHEMA).alias("event")
    flagged = F.col("amount_minor") > 60_000
    return (
        records.select(parsed)
        .select("event.*")
        .withWatermark("event_time", WATERMARK)
        .dropDuplicatesWithinWatermark(["transaction_id"])
        .groupBy(F.window("event_time", "10 minutes", "1 minute"), "category")
        .agg(
            F.count("*").alias("count"),
            F.count_if(flagged).alias("flagged_count"),
            F.sum("amount_minor").alias("amount_minor"),
            F.sum(F.when(flagged, F.col("amount_minor")).otherwise(0)).alias("flagged_amount_minor"),
        )
        .select("window.start", "window.end", "category", "count", "flagged_count", "amount_minor",
                "flagged_amount_minor")
    )  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap-servers", "topic", "folder"):
        arguments.add_argument(f"--{name}", required=True)
    arguments.add_argument("--batch", type=int, required=True)
    arguments.add_argument("--partitions", type=int, required=True)
    arguments.add_argument("--live", help="begin at the log's end, and go on until a signal comes")
    given = arguments.parse_args()
    spark = SparkSession.builder.config("spark.sql.shuffle.partitions", given.partitions).getOrCreate()
    connection = psycopg.connect(os.environ["BENCH_DSN"])

    def store(batch: DataFrame, _number: int) -> None:
        rows = [tuple(row) for row in batch.collect()]
        with connection.cursor() as cursor:
            cursor.executemany(UPSERT, rows)
        connection.commit()

    records = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", given.bootstrap_servers)
        .option("subscribe", given.topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", given.batch)
        .load()
    )
    writer = (
        windows(records)
        .writeStream.outputMode("update")
        .option("checkpointLocation", f"{given.folder}/checkpoint")
        .foreachBatch(store)
    )
    query = (writer if given.live else writer.trigger(availableNow=True)).start()
    follow(query, Path(given.folder))
    spark.stop()


if __name__ == "__main__":
    main()
