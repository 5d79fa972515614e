"""The script that spark-submit runs: one streaming query, until it is stopped or fails.

    spark-submit … app.py JOB.json

The job's stop file or SIGTERM asks it to stop; the running micro-batch then finishes. The exit code is
fraudctl's own; `outcome_file` holds it too, with message, detail and hint.
"""

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial, reduce
from operator import or_
from pathlib import Path

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from fraudctl.broker.log import next_arrivals
from fraudctl.broker.topics import TopicGuard
from fraudctl.checkpoint.rewind import rewound
from fraudctl.clock import Deadline
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.job import DetectorJob
from fraudctl.database import continuation
from fraudctl.database.landing import Landed, Landing, MicroBatch, Source
from fraudctl.database.lease import Heartbeat, Holder
from fraudctl.detector.checkpoint import Checkpoint
from fraudctl.detector.collect import collect
from fraudctl.detector.executors import Executors, session
from fraudctl.detector.explain import explained
from fraudctl.detector.foreach_batch import foreach_batch
from fraudctl.detector.intake import Intake
from fraudctl.detector.progress import ProgressLog
from fraudctl.detector.relay import AlertRelay
from fraudctl.detector.rules_in_force import RulesInForce
from fraudctl.detector.run_again import RunAgainError
from fraudctl.detector.sink import Sink, StopRequestedError
from fraudctl.detector.skew import Skew
from fraudctl.detector.transforms import output_rows
from fraudctl.errors import ExitCode, FraudctlError, UnreachableError
from fraudctl.rules.model import RuleSet, parse_rules
from fraudctl.runtime.process import identity

_POLL_SECONDS = 0.2
_LOOK_SECONDS = 10.0
# Time limits for an answer of the broker: before a batch is written, and at the regular checks in between.
_BROKER_SECONDS = 60.0
_ANSWER_SECONDS = 2.0


def main(job_file: Path) -> int:
    """Run the detector to its end, write the outcome and return the exit code."""
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
    database = PostgresEndpoint(
        job.postgres_host,
        job.postgres_port,
        job.postgres_database,
        job.postgres_user,
        Path(job.postgres_password_file),
        job.postgres_schema,
        job.postgres_external,
    )
    landing = Landing(
        database,
        Source(job.cluster_id, job.topic, job.topic_id, job.fingerprint),
        job.landing,
        holder=Holder(
            f"{socket.gethostname()} pid {os.getpid()}, checkpoint {job.checkpoint}",
            identity.of_detector(os.environ),
        ),
        connect_seconds=job.connect_seconds,
        stopping=stopping,
        on_retry=lambda line: _log(f"landing: {line}"),
    )
    try:
        landing.acquire()  # before Spark touches the checkpoint
        continuation.check_unmoved(database, job.ledger_end, connect_seconds=job.connect_seconds)
        with (
            Heartbeat(
                database,
                landing.epoch,
                lease_seconds=job.landing.lease_seconds,
                connect_seconds=job.connect_seconds,
                on_trouble=_log,
            ) as heartbeat,
            _relay(job, database, landing.epoch) as relay,
        ):
            _run(job, landing, heartbeat, stopping, relay)
    finally:
        _give_back(landing)


def _relay(
    job: DetectorJob, database: PostgresEndpoint, epoch: int
) -> AbstractContextManager[AlertRelay | None]:
    """Return the relay of alerts; an empty context if alerts are not sent, as in a replay."""
    if job.alerts is None:
        return nullcontext()
    return AlertRelay(
        database,
        job.bootstrap_servers,
        job.alerts,
        epoch,
        connect_seconds=job.connect_seconds,
        on_trouble=_log,
    )


def _run(
    job: DetectorJob,
    landing: Landing,
    heartbeat: Heartbeat,
    stopping: "_Asked",
    relay: AlertRelay | None,
) -> None:
    spark = session(job)
    executors = Executors(spark, job.spark.master, job.spark.executor_seconds)
    try:
        progress = ProgressLog(job)
        checkpoint = Checkpoint(spark, job.checkpoint_location, job.topic, job.ending_offsets)
        guard = TopicGuard(job.bootstrap_servers, job.topic, job.topic_id)
        skew = None if job.redo_batches else _skew(job)
        rules = RulesInForce(landing, parse_rules(job.rules_document), job.card_horizon_seconds)
        sink = Sink(
            checkpoint,
            landing,
            partial(_landed, progress, relay),
            lambda: guard.check(timeout_seconds=_BROKER_SECONDS),
            skew,
            rules,
        )
        for _again in rewound(job.checkpoint, job.redo_batches) if job.redo_batches else (None,):
            while True:
                held_back_seconds = skew.held_back_ms // 1000 if skew else 0
                query = _start(spark, job, rules.now, sink, held_back_seconds)
                progress.started(str(query.id), landing.epoch, held_back_seconds)
                stopping.after(job.run_seconds)
                try:
                    _watch(query, sink, progress, job, stopping, heartbeat, guard, executors)
                except RunAgainError as again:
                    _log(str(again))
                    sink.forget_failure()
                else:
                    break
    finally:
        if heartbeat.lost is None:  # else leave at once: a running batch cannot be written
            spark.stop()


def _landed(progress: ProgressLog, relay: AlertRelay | None, batch: MicroBatch, landed: Landed) -> None:
    progress.landed(batch, landed)
    if relay is not None and landed.alerts:
        relay.wake()


def _skew(job: DetectorJob) -> Skew:
    return Skew(
        job.lateness.slack_seconds * 1000,
        lambda offsets: next_arrivals(
            job.bootstrap_servers, job.topic, offsets, timeout_seconds=_BROKER_SECONDS
        ),
        job.ending_offsets,
    )


def _give_back(landing: Landing) -> None:
    try:
        landing.release()
    except UnreachableError as error:
        _log(f"{error.message}: {error.detail}")
    landing.close()


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the detector's log file


def _start(
    spark: SparkSession, job: DetectorJob, rules: RuleSet, sink: Sink, held_back_seconds: int
) -> StreamingQuery:
    intake = Intake(spark, job, rules)
    writer = output_rows(read_topic(spark, job), intake, job, rules, held_back_seconds).writeStream
    if job.redo_batches:
        writer = writer.trigger(once=True)
    elif job.spark.trigger_seconds > 0:
        writer = writer.trigger(processingTime=f"{round(job.spark.trigger_seconds * 1000)} milliseconds")
    writer = (
        writer.queryName("fraudctl")
        .outputMode("update")
        .option("checkpointLocation", job.checkpoint_location)
    )
    collect_batch = partial(collect, intake=intake)
    return foreach_batch(writer, partial(sink.take, collect_batch)).start()


def read_topic(spark: SparkSession, job: DetectorJob) -> DataFrame:
    """Return the topic as a stream of records.

    `failOnDataLoss` is not a setting: lost records must stop the detector.
    """
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
        # A fetch that waits at the log's end delays the next one, by default for half a second.
        .option("kafka.fetch.max.wait.ms", 50)
        # A partition's next fetch starts when the one before is used up: few large ones wait less.
        .option("kafka.max.partition.fetch.bytes", 4 * 1024 * 1024)
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
    query: StreamingQuery,
    sink: Sink,
    progress: ProgressLog,
    job: DetectorJob,
    stopping: "_Asked",
    heartbeat: Heartbeat,
    guard: TopicGuard,
    executors: Executors,
) -> None:
    next_look = Deadline(_LOOK_SECONDS)
    try:
        while not query.awaitTermination(_POLL_SECONDS):  # type: ignore[arg-type] # takes fractions
            progress.publish(query)
            heartbeat.check()
            executors.check()
            if next_look.expired:
                _look_at_topic(guard, {} if job.redo_batches else sink.planned_ends, job.ending_offsets or {})
                next_look = Deadline(_LOOK_SECONDS)
            if stopping() and not sink.stopping.is_set():
                sink.stopping.set()
                _finish(query, sink, progress, job)
    except StreamingQueryException as error:
        failure = sink.failure
        if isinstance(failure, StopRequestedError):
            return
        known = isinstance(failure, (FraudctlError, RunAgainError))
        raise failure if known and failure else explained(error) from error
    finally:
        progress.publish(query)


def _look_at_topic(guard: TopicGuard, planned: Mapping[int, int], wanted: Mapping[int, int]) -> None:
    """Check that the topic is still the same one and has not lost records that are to be read.

    This runs between batches too: a topic that was created again and is shorter would never plan a batch.

    Args:
        guard: knows the topic's id.
        planned: by partition, the offset up to which a batch has been planned.
        wanted: by partition, the offset at which reading ends; empty if it never does.

    Raises:
        RefusedError: the topic is another one, or has lost records.
    """
    try:
        guard.check(timeout_seconds=_ANSWER_SECONDS)
        unread = {number: end for number, end in planned.items() if end != wanted.get(number)}
        guard.check_held(unread, timeout_seconds=_ANSWER_SECONDS)
    except UnreachableError as error:
        # No answer does not mean another topic: Spark waits for the broker too, and fails when it gives up.
        print(f"topic: {error.message}: {error.detail}", file=sys.stderr, flush=True)  # noqa: T201 - the log


def _finish(query: StreamingQuery, sink: Sink, progress: ProgressLog, job: DetectorJob) -> None:
    """Wait until the running batch is written and Spark has committed it, then stop the query."""
    deadline = Deadline(job.spark.stop_grace_seconds)
    sink.idle.wait(deadline.remaining())
    while progress.waiting and query.isActive and not deadline.expired:
        if query.awaitTermination(_POLL_SECONDS / 4):  # type: ignore[arg-type]
            return
        progress.publish(query)
    query.stop()


class _Asked:
    """The stop request: true after SIGTERM, once the stop file exists, or after the time limit."""

    def __init__(self, stop_file: Path) -> None:
        self._stop_file = stop_file
        self._signalled = False
        self._deadline: Deadline | None = None

    def after(self, seconds: float | None) -> None:
        """Start the time limit at the first call; a query that is started again gets no more time."""
        if seconds is not None and self._deadline is None:
            self._deadline = Deadline(seconds)

    def on_signal(self, _number: int, _frame: object) -> None:
        self._signalled = True

    def __call__(self) -> bool:
        over = self._deadline is not None and self._deadline.expired
        return self._signalled or over or self._stop_file.exists()


def _stop_asked(job: DetectorJob) -> _Asked:
    asked = _Asked(job.stop_file)
    signal.signal(signal.SIGTERM, asked.on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the supervisor, which decides
    return asked


def _outcome(job: DetectorJob, error: FraudctlError | None) -> int:
    code = ExitCode.DONE if error is None else error.exit_code
    outcome = {
        "process": identity.supervised_pid(os.environ),
        "exit_code": int(code),
        "message": error.message if error else "",
        "detail": error.detail if error else "",
        "hint": error.hint if error else "",
    }
    # Not replaced atomically: in a container the folder belongs to another user. It is read after exit.
    job.outcome_file.write_text(json.dumps(outcome), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
