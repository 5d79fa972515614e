"""The data flow as functions of frames: admitted events → deduplicated → windows, and flags on cards.

The query scans the topic once. If rules may look back at a card, two branches read the shuffled scan. Spark
shuffles it only once as long as both branches read the same columns from the same exchange. `shared` ensures
that, and tests/spark/test_plan.py checks it. The plan without it would be correct and half as fast.
"""

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fraudctl.config.job import DetectorJob
from fraudctl.config.model import WindowsSettings
from fraudctl.detector.cards import card_flags
from fraudctl.detector.intake import Intake
from fraudctl.rules.model import RuleSet

# The columns of an output row, in the order of fraudctl/detector/collect.py: a window's, then a flag's. Times
# are microseconds since the epoch, because no time zone can shift an integer on its way through Python.
_WINDOW_COLUMNS = {
    "window_start_us": "bigint",
    "window_end_us": "bigint",
    "category": "string",
    "count": "bigint",
    "flagged_count": "bigint",
    "amount_minor": "bigint",
    "flagged_amount_minor": "bigint",
}
_MINUTE_US = 60_000_000
_FLAG_COLUMNS = {
    "partition": "int",
    "digest": "string",
    "transaction_id": "string",
    "card_id": "string",
    "merchant_id": "string",
    "event_time_us": "bigint",
    "flag_category": "string",
    "flag_amount_minor": "bigint",
    "currency": "string",
    "country": "string",
    "channel": "string",
    "arrival_us": "bigint",
    "score": "int",
    "rules": "string",
    "alone": "boolean",
    "alert": "boolean",
}


def output_rows(
    records: DataFrame, intake: Intake, job: DetectorJob, rules: RuleSet, held_back_seconds: int = 0
) -> DataFrame:
    """Build the whole streaming query, up to the sink.

    Args:
        records: the rows of Spark's Kafka source.
        intake: parses, admits and evaluates the records.
        job: the detector's job.
        rules: the rules that evaluate the records.
        held_back_seconds: how much longer the watermark's delay is than the settings ask for.

    Returns:
        The windows that changed. If rules may look back at a card, also one row for each evaluation in which
        such a rule matches a transaction. Each row has the columns of one kind, and nulls for the other.
    """
    delay = f"{job.lateness.watermark_delay_seconds + held_back_seconds} seconds"
    admitted = intake.admitted(records)
    if job.card_horizon_seconds == 0:
        return windows(deduplicate(admitted.withWatermark("event_time", delay)), job.windows)
    # The plan depends on the job and not on the rules, so the state stays when rules change.
    # The watermark is above the exchange: below it, a branch that reuses the exchange would get no watermark
    # and its state would grow forever. The price is one more shuffle.
    both = shared(admitted, job.spark.shuffle_partitions).withWatermark("event_time", delay)
    counted = windows(deduplicate(both).select("event_time", "event.*"), job.windows)
    flagged = card_flags(both, job.card_horizon_seconds, rules).withColumnsRenamed(
        {"category": "flag_category", "amount_minor": "flag_amount_minor"}
    )
    return _padded(counted, _WINDOW_COLUMNS).union(_padded(flagged, _FLAG_COLUMNS))


def shared(admitted: DataFrame, partitions: int) -> DataFrame:
    """Shuffle once for several branches: return digest, event_time, and all other columns as `event`.

    Everything but the keys is in one struct, so that every branch reads the same columns.
    """
    others = [name for name in admitted.columns if name not in ("digest", "event_time")]
    packed = admitted.select("digest", "event_time", F.struct(*others).alias("event"))
    return packed.repartition(partitions, "digest")


def deduplicate(admitted: DataFrame) -> DataFrame:
    """Keep one of several equal transactions.

    The key is a digest over every field, transaction_id included, so it does not matter which copy Spark
    keeps. Two different payloads under one id both count, and the recount reports them as a conflict.
    """
    return admitted.dropDuplicatesWithinWatermark(["digest"])


def windows(deduplicated: DataFrame, settings: WindowsSettings) -> DataFrame:
    """Count and sum all and flagged transactions per sliding window and category; amounts in minor units.

    Each task first sums its rows by slide and category (fraudctl/detector/jvm/SlideSums.scala), because a
    window consists of whole slides. Copying every row into each of its windows took a quarter of all tasks'
    time.
    """
    jvm: Any = deduplicated.sparkSession._jvm
    slide_us = settings.slide_minutes * _MINUTE_US
    by_slide = DataFrame(
        jvm.org.apache.spark.sql.fraudctl.SlideSums.of(deduplicated._jdf, slide_us), deduplicated.sparkSession
    )
    window = F.window("event_time", f"{settings.length_minutes} minutes", f"{settings.slide_minutes} minutes")
    sums = (
        F.sum(name).alias(name) for name in ("count", "flagged_count", "amount_minor", "flagged_amount_minor")
    )
    counted = by_slide.groupBy(window.alias("window"), "category").agg(*sums)
    return counted.select(
        F.unix_micros("window.start").alias("window_start_us"),
        F.unix_micros("window.end").alias("window_end_us"),
        "category",
        "count",
        "flagged_count",
        "amount_minor",
        "flagged_amount_minor",
    )


def _padded(frame: DataFrame, own: dict[str, str]) -> DataFrame:
    """Return a frame with all columns of an output row, null if the frame has no column of that name."""

    def column(name: str) -> Column:
        return F.col(name) if name in own else F.lit(None)

    every = _WINDOW_COLUMNS | _FLAG_COLUMNS
    return frame.select(*(column(name).cast(kind).alias(name) for name, kind in every.items()))
