"""Planning of a detector run: check services and rules, download jars, build job and command line."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraudctl import failpoints
from fraudctl.broker import topics
from fraudctl.checkpoint import inspect_folder
from fraudctl.clock import Deadline
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.job import AlertsOut, DetectorJob
from fraudctl.config.lane import LIVE, Lane
from fraudctl.config.model import Settings, TopicSettings
from fraudctl.config.paths import StackPaths
from fraudctl.database import continuation, rule_sets
from fraudctl.errors import REBUILD, RefusedError
from fraudctl.operations.detect.placement import Place, Where, place_detector, seen_from
from fraudctl.operations.rules import card_lookback
from fraudctl.operations.rules.check import rules_warnings
from fraudctl.progress import Observe, Progress
from fraudctl.rules.model import RuleSet, parse_rules
from fraudctl.runtime.files import make_folder


@dataclass(frozen=True)
class DetectorPlan:
    """A job that passed all checks, and the command line that runs it."""

    job: DetectorJob
    job_file: Path
    scratch: Path
    place: Place
    bootstrap_servers: str  # as this machine sees them; the job may have others
    landed_ends: dict[int, int]  # of the newest batch in the ledger: partition to one past the last offset


def plan_detector(
    settings: Settings,
    paths: StackPaths,
    endpoints: Endpoints,
    rules_document: dict[str, Any],
    *,
    environ: Mapping[str, str],
    run_seconds: float | None,
    lane: Lane,
    settled: bool,
    deadline: Deadline,
    observe: Observe,
) -> DetectorPlan:
    """Check that a detector may start, and build its command line.

    Nothing is started, and nothing but downloads is written. `settled` says that nobody writes batches
    meanwhile, so that checkpoint and ledger can be compared batch by batch.

    Raises:
        UnreachableError: broker or database does not answer.
        RefusedError: the topic is missing, checkpoint, ledger and settings do not belong together, or the
            active rules look back further at a card's past than the state reaches.
        ConfigError: the rules, or the failpoints in `environ`, are not valid.
    """
    rules, seconds = parse_rules(rules_document), settings.timeouts.connect_seconds
    failpoints.parse(environ.get(failpoints.VARIABLE, ""))
    horizon = card_lookback.horizon_to_begin_with(endpoints.postgres, rules, connect_seconds=seconds)
    job = _job(settings, paths, endpoints, rules_document, run_seconds, lane)
    job = job.model_copy(update={"card_horizon_seconds": horizon})
    folder = inspect_folder.look(job.checkpoint)
    _check_same_query(folder, looks_back=horizon > 0)
    landed = continuation.check(
        endpoints.postgres,
        continuation.Present(
            query_id=folder.query_id,
            last_commit=folder.last_commit,
            plans=folder.plans,
            cluster_id=job.cluster_id,
            topic=job.topic,
            topic_id=job.topic_id,
            fingerprint=job.fingerprint,
        ),
        connect_seconds=seconds,
        settled=settled,
    )
    card_lookback.refuse_rules_in_force(endpoints.postgres, rules, horizon, connect_seconds=seconds)
    check_writer(endpoints, connect_seconds=seconds)
    if lane == LIVE:
        _tell_rules(settings, endpoints, rules, rules_document, observe)
    job = job.model_copy(update={"ledger_end": landed.batch_id if landed else None})
    where = Where(settings, paths, lane, environ, deadline, observe)
    place = place_detector(where, job, endpoints)
    return DetectorPlan(
        job=job,
        job_file=lane.file(paths, "job.json"),
        scratch=lane.file(paths, "spark"),
        place=place,
        bootstrap_servers=endpoints.bootstrap_servers,
        landed_ends=landed.ends if landed else {},
    )


def check_writer(endpoints: Endpoints, *, connect_seconds: float) -> None:
    """Make sure that the role of the detector may log in, and may write.

    Raises:
        ConfigError: the server refuses the login, or the password file holds no password.
        RefusedError: the role may not write.
        UnreachableError: the database does not answer.
    """
    continuation.check_writer(endpoints.writer, connect_seconds=connect_seconds)


def _check_same_query(folder: inspect_folder.CheckpointFolder, *, looks_back: bool) -> None:
    """Make sure that Spark can continue from the checkpoint: its query must have the present shape.

    Raises:
        RefusedError: another version of fraudctl wrote the checkpoint, for a query of another shape.
    """
    branches = 2 if looks_back else 1  # see fraudctl/detector/transforms.py
    if folder.branches not in (0, branches):
        raise RefusedError(
            "the checkpoint was written by another version of fraudctl, whose query had another shape",
            detail=f"{folder.path}: {folder.branches} branches of its query read the topic, not {branches}",
            hint=f"{REBUILD}, or go on without it: `fraudctl detect --new-generation`",
        )


def _job(
    settings: Settings,
    paths: StackPaths,
    endpoints: Endpoints,
    rules_document: dict[str, Any],
    run_seconds: float | None,
    lane: Lane,
) -> DetectorJob:
    identity = topics.identity(
        endpoints.bootstrap_servers,
        settings.kafka.topic,
        timeout_seconds=settings.timeouts.connect_seconds,
    )
    seen = seen_from(settings, endpoints)
    postgres = seen.writer
    return DetectorJob(
        bootstrap_servers=seen.bootstrap_servers,
        topic=settings.kafka.topic,
        cluster_id=identity.cluster_id,
        topic_id=identity.topic_id,
        postgres_host=postgres.host,
        postgres_port=postgres.port,
        postgres_database=postgres.database,
        postgres_user=postgres.user,
        postgres_password_file=str(postgres.password_file),
        postgres_schema=postgres.schema,
        postgres_external=postgres.external,
        connect_seconds=settings.timeouts.connect_seconds,
        events=settings.events,
        windows=settings.windows,
        lateness=settings.lateness,
        dead_letters=settings.dead_letters,
        spark=settings.spark,
        landing=settings.landing,
        rules_document=dict(rules_document),
        alerts=_alerts(settings) if lane == LIVE else None,
        checkpoint=lane.checkpoint(paths),
        progress_file=lane.file(paths, "progress.jsonl"),
        outcome_file=lane.file(paths, "outcome.json"),
        stop_file=lane.file(paths, "stop"),
        ledger_end=None,
        run_seconds=run_seconds,
        starting_offsets=lane.starting_offsets,
        ending_offsets=lane.ending_offsets,
        redo_batches=lane.redo_batches,
    )


def _tell_rules(
    settings: Settings,
    endpoints: Endpoints,
    given: RuleSet,
    document: Mapping[str, Any],
    observe: Observe,
) -> None:
    """Report if other rules than the file's are active; if none are, warn of rules that can never match.

    The rules in the settings' file are used only when a new pipeline starts.
    """
    stored = rule_sets.active(endpoints.postgres, connect_seconds=settings.timeouts.connect_seconds)
    if stored is None:
        for warning in rules_warnings(settings, given, document):
            observe(Progress("rules", "note", f"warning: {warning}"))
    if stored is not None and stored.digest != given.digest:
        text = (
            f"{stored.digest[:12]} is active, not {given.digest[:12]} of {settings.rules.file}; "
            f"`fraudctl rules apply {settings.rules.file}` would change that"
        )
        observe(Progress("rules", "note", text))


def _alerts(settings: Settings) -> AlertsOut:
    kafka = settings.kafka
    topic = TopicSettings(
        topic=kafka.alerts_topic,
        partitions=kafka.partitions,
        timestamp_type="LogAppendTime",
        retention_hours=kafka.retention_hours,
        max_message_bytes=kafka.max_message_bytes,
    )
    return AlertsOut(topic=topic, producer=settings.producer)


def write_job(plan: DetectorPlan) -> None:
    """Write the job's file for spark-submit, and remove the files of an earlier run."""
    make_folder(plan.job_file.parent)
    make_folder(plan.job.checkpoint)
    shutil.rmtree(plan.scratch, ignore_errors=True)  # a killed run cannot clean up
    make_folder(plan.scratch)
    if plan.job.outcome_file.exists():  # the run that was taken over may still read it
        plan.job.outcome_file.replace(previous_outcome(plan.job))
    class_list = [plan.place.archive.class_list] if plan.place.archive else []
    for file in (plan.job.progress_file, plan.job.stop_file, *class_list):
        file.unlink(missing_ok=True)
    plan.job_file.write_text(plan.job.model_dump_json(indent=2), encoding="utf-8")
    plan.place.prepare()


def previous_outcome(job: DetectorJob) -> Path:
    """Return the file that keeps the outcome of the run before this one."""
    return job.outcome_file.with_name(f"{job.outcome_file.stem}.previous.json")
