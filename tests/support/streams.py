"""Run the detector's real streaming query over records that a test gives, and collect what would land."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession

from fraudctl.config.job import DetectorJob
from fraudctl.config.load import load
from fraudctl.config.rules_file import read_rules_document
from fraudctl.detector.collect import ADMITTED, BatchContent, alerts_of, collect
from fraudctl.detector.foreach_batch import foreach_batch
from fraudctl.detector.intake import Intake
from fraudctl.detector.transforms import output_rows
from fraudctl.rules.model import RuleSet, parse_rules

RULES = parse_rules(read_rules_document("rules.yaml"))
RECORDS = "value binary, partition int, offset bigint, timestamp timestamp"


def job(tmp_path: Path, **flags: object) -> DetectorJob:
    """A detector's job with the default settings, nothing of it reachable."""
    settings = load(flags={key.replace("__", "."): value for key, value in flags.items()}).settings
    return DetectorJob(
        bootstrap_servers="",
        topic="transactions",
        cluster_id="",
        topic_id="",
        postgres_host="",
        postgres_port=1,
        postgres_database="",
        postgres_user="",
        postgres_password_file="",
        postgres_schema="",
        connect_seconds=1,
        events=settings.events,
        windows=settings.windows,
        lateness=settings.lateness,
        dead_letters=settings.dead_letters,
        spark=settings.spark,
        landing=settings.landing,
        rules_document=read_rules_document("rules.yaml"),
        checkpoint=tmp_path / "checkpoint",
        progress_file=tmp_path / "progress",
        outcome_file=tmp_path / "outcome",
        stop_file=tmp_path / "stop",
        run_seconds=None,
    )


def records(spark: SparkSession, rows: Sequence[tuple[bytes | None, int, int, int]]) -> DataFrame:
    """(value, partition, offset, arrival in ms) as Spark's Kafka source would give them."""
    frame = spark.createDataFrame(
        [(None if value is None else bytearray(value), *rest) for value, *rest in rows],
        "value binary, partition int, offset bigint, arrival_ms bigint",
    )
    return frame.selectExpr("value", "partition", "offset", "timestamp_millis(arrival_ms) AS timestamp")


def taken_in(
    spark: SparkSession,
    the_job: DetectorJob,
    rows: Sequence[tuple[bytes | None, int, int, int]],
    rules: RuleSet = RULES,
) -> tuple[list[Row], BatchContent]:
    """The admitted records as the query sees them, and what becomes of the others: without any state."""
    intake = Intake(spark, the_job, rules)
    admitted_rows = intake.admitted(records(spark, rows)).collect()
    alerts = alerts_of(intake.alerts(), ())
    content = BatchContent((), {}, tuple(intake.rejected()), alerts, intake.partitions())
    return admitted_rows, content


def land(
    spark: SparkSession,
    tmp_path: Path,
    batches: Sequence[Sequence[tuple[bytes | None, int, int, int]]],
    rules: Sequence[RuleSet] | None = None,
    card_horizon_seconds: int = 0,
    late_before_us: list[int] | None = None,
) -> list[BatchContent]:
    """What each of `batches` would land: one micro-batch each, all through one streaming query.

    Args:
        rules: the set that judges each of them, by default that of the settings; where it changes the query
            is started again from its checkpoint, as the detector does.
        late_before_us: to it is added, for each of them, the watermark of the batch before, behind which
            Spark drops what comes.
    """
    the_job = job(tmp_path).model_copy(update={"card_horizon_seconds": card_horizon_seconds})
    sets = rules or [parse_rules(the_job.rules_document)] * len(batches)
    folder = tmp_path / "log"
    folder.mkdir(parents=True)
    source = (
        spark.readStream.schema(RECORDS)
        .option("maxFilesPerTrigger", 1)
        .option("recursiveFileLookup", "true")
        .parquet(str(folder))
    )
    landed: list[BatchContent] = []
    intakes: list[Intake] = []

    def take(frame: Any, batch_id: int) -> None:
        content = collect(frame, intakes[-1])
        if not content.partitions:  # it came without a record, to move the watermark
            return
        landed.append(content)
        if late_before_us is not None:
            late_before_us.append(_watermark_ms(the_job, batch_id - 1) * 1000)

    def run(judge: RuleSet) -> None:
        intakes.append(Intake(spark, the_job, judge))
        writer = (
            output_rows(source, intakes[-1], the_job, judge)
            .writeStream.outputMode("update")
            .option("checkpointLocation", str(the_job.checkpoint))
            .trigger(availableNow=True)
        )
        query = foreach_batch(writer, take).start()
        try:
            assert query.awaitTermination(300), "the query did not end"
        finally:
            query.stop()

    for number, rows in enumerate(batches):
        # One file a batch; the source takes them by age, one at a time.
        records(spark, rows).coalesce(1).write.mode("append").parquet(str(folder / f"batch={number:04d}"))
        if number + 1 == len(batches) or sets[number + 1] != sets[number]:
            run(sets[number])
    return landed


def _watermark_ms(of: DetectorJob, batch_id: int) -> int:
    if batch_id < 0:
        return 0
    lines = (of.checkpoint / "offsets" / str(batch_id)).read_text(encoding="utf-8").splitlines()
    return int(json.loads(lines[1])["batchWatermarkMs"])


def windows_of(content: BatchContent) -> dict[tuple[int, int, str], tuple[int, int, int, int]]:
    """(start µs, end µs, category) → (count, flagged_count, amount_minor, flagged_amount_minor)."""
    return {
        (row.window_start_us, row.window_end_us, row.category): (
            row.count,
            row.flagged_count,
            row.amount_minor,
            row.flagged_amount_minor,
        )
        for row in content.windows
    }


def rejected(content: BatchContent) -> dict[tuple[int, int], str]:
    """(partition, offset) → reason."""
    return {(one.partition, one.offset): one.reason for one in content.rejected}


def admitted(content: BatchContent) -> dict[int, int]:
    """Partition → number of admitted records."""
    return {partition: own[ADMITTED] for partition, own in content.intake.items() if ADMITTED in own}


def instant_us(text: str) -> int:
    """RFC 3339 to microseconds since the epoch."""
    from datetime import UTC, datetime, timedelta

    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
