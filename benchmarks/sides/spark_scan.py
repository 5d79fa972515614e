"""The limit of every Spark side: the records of a log are read in micro-batches and thrown away.

spark-submit … spark_scan.py --bootstrap-servers … --topic … --batch N --folder FOLDER
"""

import argparse
from pathlib import Path

from progress import follow
from pyspark.sql import SparkSession


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap-servers", "topic", "folder"):
        arguments.add_argument(f"--{name}", required=True)
    arguments.add_argument("--batch", type=int, required=True)
    given = arguments.parse_args()
    spark = SparkSession.builder.getOrCreate()
    query = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", given.bootstrap_servers)
        .option("subscribe", given.topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", given.batch)
        .load()
        .writeStream.format("noop")
        .option("checkpointLocation", f"{given.folder}/checkpoint")
        .trigger(availableNow=True)
        .start()
    )
    follow(query, Path(given.folder))
    spark.stop()


if __name__ == "__main__":
    main()
