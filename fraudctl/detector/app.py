"""The script that spark-submit runs: one streaming query, until it is asked to stop or cannot go on.

    spark-submit … app.py JOB.json

A stop is asked for by creating the job's stop file, or by SIGTERM: the running micro-batch then finishes.
The exit code is fraudctl's own; `outcome_file` holds the same with message, detail and hint.
"""

import json
import os
import re
import signal
import socket
import sys
import traceback
from functools import reduce
from operator import or_
from pathlib import Path

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from fraudctl.clock import Deadline
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.job import DetectorJob
from fraudctl.database.landing import Landing, Source
from fraudctl.detector.checkpoint import Checkpoint
from fraudctl.detector.progress import ProgressLog
from fraudctl.detector.sink import Sink, StopRequestedError
from fraudctl.detector.transforms import landing_rows
from fraudctl.errors import DataError, ExitCode, FraudctlError, RefusedError, UnreachableError
from fraudctl.rules.model import parse_rules
from fraudctl.runtime.rewind import rewound

_POLL_SECONDS = 0.2


def main(job_file: Path) -> int:
    """Run the detector to its end; returns the exit code and writes the outcome."""
    job = DetectorJob.model_validate_json(job_file.read_text(encoding="utf-8"))
    try:
        _detect(job)
    except FraudctlError as error:
        return _outcome(job, error)
    except Exception as error:  # noqa: BLE001 - reported with its traceback; nothing may end without an outcome
        traceback.print_exc()
        return _outcome(job, FraudctlError("the detector failed", detail=f"{type(error).__name__}: {error}"))
    return _outcome(job, None)


def _detect(job: DetectorJob) -> None:
    stopping = _stop_asked(job)
    landing = Landing(
        PostgresEndpoint(
            job.postgres_host,
            job.postgres_port,
            job.postgres_database,
            job.postgres_user,
            Path(job.postgres_password_file),
            job.postgres_schema,
        ),
        Source(job.cluster_id, job.topic, job.topic_id, job.fingerprint),
        job.landing,
        holder=f"{socket.gethostname()} pid {os.getpid()}",
        connect_seconds=job.connect_seconds,
        stopping=stopping,
        on_retry=lambda line: print(f"landing: {line}", file=sys.stderr, flush=True),  # noqa: T201 - the log
    )
    spark = SparkSession.builder.appName("fraudctl detector").getOrCreate()
    try:
        landing.acquire()
        progress = ProgressLog(job)
        checkpoint = Checkpoint(spark, job.checkpoint.as_uri(), job.topic, job.ending_offsets)
        sink = Sink(checkpoint, landing, progress.landed)
        for _again in rewound(job.checkpoint, job.redo_batches) if job.redo_batches else (None,):
            query = _start(spark, job, sink)
            progress.started(str(query.id), landing.epoch)
            stopping.after(job.run_seconds)
            _watch(query, sink, progress, job, stopping)
    finally:
        landing.close()
        spark.stop()


def _start(spark: SparkSession, job: DetectorJob, sink: Sink) -> StreamingQuery:
    writer = landing_rows(read_topic(spark, job), job, parse_rules(job.rules_document)).writeStream
    if job.redo_batches:
        writer = writer.trigger(once=True)
    elif job.spark.trigger_seconds > 0:
        writer = writer.trigger(processingTime=f"{round(job.spark.trigger_seconds * 1000)} milliseconds")
    return (
        writer.queryName("fraudctl")
        .outputMode("update")
        .option("checkpointLocation", job.checkpoint.as_uri())
        .foreachBatch(sink)
        .start()
    )


def read_topic(spark: SparkSession, job: DetectorJob) -> DataFrame:
    """The log as a stream. `failOnDataLoss` is not a setting: lost records must stop the detector."""
    starts = "earliest"
    if job.starting_offsets is not None:
        starts = json.dumps({job.topic: {str(key): offset for key, offset in job.starting_offsets.items()}})
    records = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", job.bootstrap_servers)
        .option("subscribe", job.topic)
        .option("startingOffsets", starts)
        .option("failOnDataLoss", "true")
        .option("maxOffsetsPerTrigger", job.spark.max_offsets_per_trigger)
        .option("kafka.default.api.timeout.ms", 20_000)
        .option("kafka.request.timeout.ms", 10_000)
        .load()
    )
    if job.ending_offsets is None:
        return records
    inside = [
        (F.col("partition") == partition) & (F.col("offset") < end)
        for partition, end in job.ending_offsets.items()
    ]
    return records.where(reduce(or_, inside, F.lit(False)))


def _watch(
    query: StreamingQuery, sink: Sink, progress: ProgressLog, job: DetectorJob, stopping: "_Asked"
) -> None:
    try:
        while not query.awaitTermination(_POLL_SECONDS):  # type: ignore[arg-type] # takes fractions
            progress.publish(query)
            if stopping() and not sink.stopping.is_set():
                sink.stopping.set()
                _finish(query, sink, progress, job)
    except StreamingQueryException as error:
        failure = sink.failure
        if isinstance(failure, StopRequestedError):
            return
        raise failure if isinstance(failure, FraudctlError) else _explained(error) from error
    finally:
        progress.publish(query)


def _finish(query: StreamingQuery, sink: Sink, progress: ProgressLog, job: DetectorJob) -> None:
    """Let the running batch land and Spark commit it, then stop the query."""
    deadline = Deadline(job.spark.stop_grace_seconds)
    sink.idle.wait(deadline.remaining())
    while progress.waiting and query.isActive and not deadline.expired:
        if query.awaitTermination(_POLL_SECONDS / 4):  # type: ignore[arg-type]
            return
        progress.publish(query)
    query.stop()


def _explained(error: StreamingQueryException) -> FraudctlError:
    """Spark's failure in the words of this program; the log file has the whole trace."""
    text = str(error)
    brief = "\n".join(text.splitlines()[:4])[:2000]
    if re.search(r"KAFKA_DATA_LOSS|data may have been lost|may have been lost|aged out", text):
        return RefusedError(
            "records that were not read yet are gone from the topic",
            detail=brief,
            hint="retention removed them or the topic was recreated; nothing was skipped silently",
        )
    if re.search(r"TimeoutException|DisconnectException|No resolvable bootstrap|Timed out", text):
        return UnreachableError(
            "the broker does not answer any more", detail=brief, hint="look at `fraudctl status`"
        )
    return DataError(
        "the streaming query failed", detail=brief, hint="`fraudctl logs detector` has the trace"
    )


class _Asked:
    """True once SIGTERM came, the stop file exists or the time given is over."""

    def __init__(self, stop_file: Path) -> None:
        self._stop_file = stop_file
        self._signalled = False
        self._deadline: Deadline | None = None

    def after(self, seconds: float | None) -> None:
        self._deadline = Deadline(seconds) if seconds is not None else None

    def on_signal(self, _number: int, _frame: object) -> None:
        self._signalled = True

    def __call__(self) -> bool:
        over = self._deadline is not None and self._deadline.expired
        return self._signalled or over or self._stop_file.exists()


def _stop_asked(job: DetectorJob) -> _Asked:
    asked = _Asked(job.stop_file)
    signal.signal(signal.SIGTERM, asked.on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides; a terminal's Ctrl-C reaches it
    return asked


def _outcome(job: DetectorJob, error: FraudctlError | None) -> int:
    code = ExitCode.DONE if error is None else error.exit_code
    outcome = {
        "exit_code": int(code),
        "message": error.message if error else "",
        "detail": error.detail if error else "",
        "hint": error.hint if error else "",
    }
    temporary = job.outcome_file.with_suffix(".tmp")
    temporary.write_text(json.dumps(outcome), encoding="utf-8")
    temporary.replace(job.outcome_file)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
