"""The data flow as frames in, frames out: admitted events → deduplicated → windows, and flags on cards.

The whole query scans the topic once. Where rules may look back at a card, two branches read what the scan
has shuffled, which Spark does only once as long as both ask the same exchange for the same columns; `shared`
sees to that, and tests/spark/test_plan.py holds it. The plan without it would be correct and half as fast.
"""

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fraudctl.config.job import DetectorJob
from fraudctl.config.model import WindowsSettings
from fraudctl.detector.cards import card_flags
from fraudctl.detector.intake import Intake
from fraudctl.rules.model import RuleSet

# The columns of an output row, as fraudctl/detector/collect.py reads them: a window's, then a flag's. Times
# are microseconds since the epoch: nobody's time zone shifts an integer on its way through Python.
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
        held_back_seconds: how much longer the watermark's delay is than the settings ask for.

    Returns:
        The windows that changed. Where rules may look back at a card, also one row for each transaction that
        such a rule matches, as often as it is judged so: each row has the columns of one and nulls for the
        other.
    """
    delay = f"{job.lateness.watermark_delay_seconds + held_back_seconds} seconds"
    admitted = intake.admitted(records)
    if job.card_horizon_seconds == 0:
        return windows(deduplicate(admitted.withWatermark("event_time", delay)), job.windows)
    # Not by the rules: the state stays as it is while they change, also while none of them looks back.
    # The watermark lies above the exchange: Spark gives none to a state whose branch reuses an exchange with
    # the watermark below it, and the state would grow for ever. The price is one more shuffle.
    both = shared(admitted, job.spark.shuffle_partitions).withWatermark("event_time", delay)
    counted = windows(deduplicate(both).select("event_time", "event.*"), job.windows)
    flagged = card_flags(both, job.card_horizon_seconds, rules).withColumnsRenamed(
        {"category": "flag_category", "amount_minor": "flag_amount_minor"}
    )
    return _padded(counted, _WINDOW_COLUMNS).union(_padded(flagged, _FLAG_COLUMNS))


def shared(admitted: DataFrame, partitions: int) -> DataFrame:
    """Shuffle once what several branches read: digest, event_time, and all other columns as `event`.

    Everything but the keys is in one struct, so that every branch asks for the same columns.
    """
    others = [name for name in admitted.columns if name not in ("digest", "event_time")]
    packed = admitted.select("digest", "event_time", F.struct(*others).alias("event"))
    return packed.repartition(partitions, "digest")


def deduplicate(admitted: DataFrame) -> DataFrame:
    """Keep one of several equal transactions.

    The key is a digest over every field, transaction_id among them: which of two copies Spark keeps is
    then of no consequence, while two different payloads under one id both count, and are reported as a
    conflict by the recount.
    """
    return admitted.dropDuplicatesWithinWatermark(["digest"])


def windows(deduplicated: DataFrame, settings: WindowsSettings) -> DataFrame:
    """Count and sum per sliding window and category, flagged ones apart; amounts in minor units.

    Each task first sums its rows by slide and category (fraudctl/detector/jvm/SlideSums.scala): a window is
    made of whole slides, and to put every row into each of its windows was a quarter of all tasks' work.
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
    """Give a frame all columns of an output row, null where it has none of that name."""

    def column(name: str) -> Column:
        return F.col(name) if name in own else F.lit(None)

    every = _WINDOW_COLUMNS | _FLAG_COLUMNS
    return frame.select(*(column(name).cast(kind).alias(name) for name, kind in every.items()))
