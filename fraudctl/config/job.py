"""The detector's job file: JSON that `detect` writes and the script inside spark-submit reads."""

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
    """The topic that alerts are sent to, and the settings of its producer."""

    topic: TopicSettings
    producer: ProducerSettings


class DetectorJob(Section):
    """Everything that one detector run depends on; passwords are named by file, never included."""

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
    rules_document: dict[str, object]  # active unless the database already has others
    # Look-back of the state of cards, and so the limit for rules; 0: there is no such state.
    card_horizon_seconds: int = 0
    alerts: AlertsOut | None = None  # where committed alerts are sent to; None: nowhere
    checkpoint: Path
    progress_file: Path
    outcome_file: Path
    stop_file: Path
    ledger_end: int | None = None  # the ledger's newest batch when it was compared with the checkpoint
    run_seconds: float | None  # stop by itself this long after the query started
    starting_offsets: dict[int, int] | None = None  # by partition; None: the earliest record of each
    ending_offsets: dict[int, int] | None = None  # by partition: stop there; None: never stop
    redo_batches: int = 0  # number of the checkpoint's finished batches to run again, and nothing else

    @property
    def checkpoint_location(self) -> str:
        """Return the checkpoint's URI, unencoded: Hadoop's Path takes a percent sign literally."""
        return f"file://{self.checkpoint}"

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the settings that decide the numbers of this job."""
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
    """Return the settings that decide the numbers, each as `name=digest`.

    If any of them changes, an old checkpoint can no longer be used. A digest is the first 16 hexadecimal
    digits of a SHA-256 over the value as JSON. Rules are not included: the ledger says for each batch which
    rules evaluated it. The look-back of the state of cards is included as `rules.card_horizon_seconds` in
    plain digits, if it is not 0.
    """
    facts: dict[str, object] = {"kafka.topic": topic}
    for section, values in (("events", events), ("windows", windows), ("lateness", lateness)):
        facts |= {f"{section}.{key}": value for key, value in values.model_dump(mode="json").items()}
    parts = {name: _digest(value) for name, value in facts.items()}
    if card_horizon_seconds:
        parts[_CARD_HORIZON] = str(card_horizon_seconds)
    return " ".join(f"{name}={part}" for name, part in sorted(parts.items()))


def horizon_of(mark: str) -> int:
    """Return the look-back of the state of cards (seconds) in a fingerprint; 0 if it names none.

    A number of ten or more digits, further than any rule looks back, counts as none.
    """
    said = dict(part.partition("=")[::2] for part in mark.split()).get(_CARD_HORIZON, "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 10 else 0


def changed(was: str, now: str) -> tuple[str, ...]:
    """Return the names of the settings in which two fingerprints differ."""
    before, after = (dict(part.partition("=")[::2] for part in mark.split()) for mark in (was, now))
    return tuple(sorted(name for name in before | after if before.get(name) != after.get(name)))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
