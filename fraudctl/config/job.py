"""What the detector is told: one JSON file, written by `detect`, read inside spark-submit."""

import hashlib
import json
from pathlib import Path

from fraudctl.config.model import (
    DeadLettersSettings,
    EventsSettings,
    LandingSettings,
    LatenessSettings,
    ProducerSettings,
    Section,
    SparkSettings,
    TopicSettings,
    WindowsSettings,
)

_CARD_HORIZON = "rules.card_horizon_seconds"


class AlertsOut(Section):
    """The topic that alerts are sent on to, and how."""

    topic: TopicSettings
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
    postgres_external: bool = False
    connect_seconds: float
    events: EventsSettings
    windows: WindowsSettings
    lateness: LatenessSettings
    dead_letters: DeadLettersSettings
    spark: SparkSettings
    landing: LandingSettings
    rules_document: dict[str, object]  # in force unless the database already has others
    # How far back the state of cards reaches, and so any rule may look; 0: there is none.
    card_horizon_seconds: int = 0
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
            card_horizon_seconds=self.card_horizon_seconds,
        )


def fingerprint(
    *,
    topic: str,
    events: EventsSettings,
    windows: WindowsSettings,
    lateness: LatenessSettings,
    card_horizon_seconds: int = 0,
) -> str:
    """What decides a number, each as `name=digest`: change any of it and an old checkpoint no longer fits.

    The digests are the first 16 hexadecimal digits of a SHA-256 over the value as JSON. Rules are no part of
    it: the ledger says for each batch which of them judged it. How far back the state reaches for them is, as
    `rules.card_horizon_seconds` in plain digits, where it reaches back at all.
    """
    facts: dict[str, object] = {"kafka.topic": topic}
    for section, values in (("events", events), ("windows", windows), ("lateness", lateness)):
        facts |= {f"{section}.{key}": value for key, value in values.model_dump(mode="json").items()}
    parts = {name: _digest(value) for name, value in facts.items()}
    if card_horizon_seconds:
        parts[_CARD_HORIZON] = str(card_horizon_seconds)
    return " ".join(f"{name}={part}" for name, part in sorted(parts.items()))


def horizon_of(mark: str) -> int:
    """How far back (seconds) the state of cards reaches by this fingerprint; 0 where it names no number.

    One of so many digits that no rules reach there is no such number either.
    """
    said = dict(part.partition("=")[::2] for part in mark.split()).get(_CARD_HORIZON, "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 10 else 0


def changed(was: str, now: str) -> tuple[str, ...]:
    """The settings in which two fingerprints differ, by name."""
    before, after = (dict(part.partition("=")[::2] for part in mark.split()) for mark in (was, now))
    return tuple(sorted(name for name in before | after if before.get(name) != after.get(name)))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
