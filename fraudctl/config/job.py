"""What the detector is told: one JSON file, written by `detect`, read inside spark-submit."""

import hashlib
import json
from pathlib import Path

from fraudctl.config.model import (
    DeadLettersSettings,
    EventsSettings,
    KafkaSettings,
    LandingSettings,
    LatenessSettings,
    ProducerSettings,
    Section,
    SparkSettings,
    WindowsSettings,
)


class AlertsOut(Section):
    """The topic that alerts are sent on to, and how."""

    kafka: KafkaSettings
    producer: ProducerSettings


class DetectorJob(Section):
    """Everything one detector run depends on. Secrets are named by file, never held."""

    bootstrap_servers: str
    topic: str
    cluster_id: str
    topic_id: str
    postgres_host: str
    postgres_port: int
    postgres_database: str
    postgres_user: str
    postgres_password_file: str
    postgres_schema: str
    connect_seconds: float
    events: EventsSettings
    windows: WindowsSettings
    lateness: LatenessSettings
    dead_letters: DeadLettersSettings
    spark: SparkSettings
    landing: LandingSettings
    rules_document: dict[str, object]  # in force unless the database already has others
    alerts: AlertsOut | None = None  # where landed alerts are sent on to
    checkpoint: Path
    progress_file: Path
    outcome_file: Path
    stop_file: Path
    ledger_end: int | None = None  # the newest landed batch when checkpoint and ledger were compared
    run_seconds: float | None  # stop by itself this long after the query started
    starting_offsets: dict[int, int] | None = None  # by partition; None: the earliest record of each
    ending_offsets: dict[int, int] | None = None  # by partition: read no further; None: for ever
    redo_batches: int = 0  # run so many finished batches of the checkpoint again, and nothing else

    @property
    def checkpoint_location(self) -> str:
        """For Hadoop's Path, which takes a percent sign literally: a URI with nothing encoded."""
        return f"file://{self.checkpoint}"

    @property
    def fingerprint(self) -> str:
        """What decides a number in this job."""
        return fingerprint(
            topic=self.topic,
            events=self.events,
            windows=self.windows,
            lateness=self.lateness,
        )


def fingerprint(
    *,
    topic: str,
    events: EventsSettings,
    windows: WindowsSettings,
    lateness: LatenessSettings,
) -> str:
    """What decides a number, each as `name=digest`: change any of it and an old checkpoint no longer fits.

    The digests are the first 16 hexadecimal digits of a SHA-256 over the value as JSON. Rules are no part of
    it: the ledger says for each batch which of them judged it.
    """
    facts: dict[str, object] = {"kafka.topic": topic}
    for section, values in (("events", events), ("windows", windows), ("lateness", lateness)):
        facts |= {f"{section}.{key}": value for key, value in values.model_dump(mode="json").items()}
    return " ".join(f"{name}={_digest(value)}" for name, value in sorted(facts.items()))


def changed(was: str, now: str) -> tuple[str, ...]:
    """The settings in which two fingerprints differ, by name."""
    before, after = (dict(part.partition("=")[::2] for part in mark.split()) for mark in (was, now))
    return tuple(sorted(name for name in before | after if before.get(name) != after.get(name)))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
