"""fraudctl produce --preset against a real broker: live and as a backfill, with faults and labels."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient

from fraudctl.broker.log import LogRecord, read_ranges
from fraudctl.broker.topics import end_offsets, ensure_topic
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.load import load
from fraudctl.config.rules_file import read_rules_document
from fraudctl.recount.recount import recount
from fraudctl.rules.model import parse_rules
from tests.integration.test_produce import Cli, environment

pytestmark = pytest.mark.services
SECONDS = 20.0


@dataclass(frozen=True)
class Topics:
    """A topic of events and one of labels, and the command that fills them."""

    cli: Cli
    timestamp_type: str
    labels_topic: str

    def labels(self) -> list[dict[str, Any]]:
        ends = end_offsets(self.cli.servers, self.labels_topic, timeout_seconds=SECONDS)
        records = read_ranges(self.cli.servers, self.labels_topic, ends, timeout_seconds=SECONDS)
        return [json.loads(record.value or b"") for record in records]

    def fates(self) -> Counter[str]:
        """What the independent recount makes of the log."""
        settings = load(flags={"kafka.topic": self.cli.topic}).settings
        result = recount(
            ((record.partition, record.offset, record.arrival_ms, record.value) for record in self.cli.log()),
            events=settings.events,
            windows=settings.windows,
            lateness=settings.lateness,
            rules=parse_rules(read_rules_document(settings.rules.file)),
        )
        return sum(result.fates.values(), Counter())


NewTopics = Callable[[str], Topics]


@pytest.fixture
def new_topics(endpoints: Endpoints, tmp_path: Path) -> Iterator[NewTopics]:
    servers, made = endpoints.bootstrap_servers, []

    def make(timestamp_type: str) -> Topics:
        topic = f"test-{uuid4().hex[:12]}"
        flags = {"kafka.topic": topic, "kafka.timestamp_type": timestamp_type}
        ensure_topic(servers, load(flags=flags).settings.kafka, timeout_seconds=SECONDS)
        settings = {
            "FRAUDCTL_KAFKA__TIMESTAMP_TYPE": timestamp_type,
            "FRAUDCTL_KAFKA__LABELS_TOPIC": f"{topic}.labels",
        }
        made.append(topic)
        return Topics(
            Cli(servers, topic, environment(tmp_path, servers, topic) | settings),
            timestamp_type,
            f"{topic}.labels",
        )

    yield make
    admin = AdminClient({"bootstrap.servers": servers})
    present = admin.list_topics(timeout=SECONDS).topics
    unwanted = [name for topic in made for name in (topic, f"{topic}.labels") if name in present]
    for future in admin.delete_topics(unwanted).values():
        future.result(SECONDS)


def ids(records: list[LogRecord]) -> list[str]:
    return [json.loads(record.value or b"")["transaction_id"] for record in records]


def test_live_events_are_in_the_log_and_their_fraud_is_labelled(new_topics: NewTopics) -> None:
    topics = new_topics("LogAppendTime")
    result = topics.cli.result(
        *("--preset", "everyday", "--rate", "2000", "--count", "4000", "--seed", "7", "--label-delay", "1s")
    )
    assert (result["sent"], result["acknowledged"], result["failed"]) == (4000, 4000, 0)
    assert result["ended_by"] == "count"
    assert topics.fates() == {"counted": 4000}
    labels = topics.labels()
    assert len(labels) == result["fraud"] == result["labels_sent"] > 10
    assert 0 < result["labels_early"] < len(labels)
    assert {label["transaction_id"] for label in labels} <= set(ids(topics.cli.log()))


def test_another_rate_gives_the_same_digest(new_topics: NewTopics) -> None:
    topics = new_topics("LogAppendTime")
    options = ("--preset", "everyday", "--count", "600", "--seed", "11", "--no-labels")
    first = topics.cli.result(*options, "--rate", "300")
    second = topics.cli.result(*options, "--rate", "3000")
    assert first["digest"] == second["digest"]
    assert first["labels_topic"] == ""


def test_live_faults_become_what_was_expected(new_topics: NewTopics) -> None:
    topics = new_topics("LogAppendTime")
    result = topics.cli.result(
        *("--preset", "rough", "--faults", "--rate", "3000", "--count", "6000", "--seed", "3", "--no-labels")
    )
    found = topics.fates()
    assert sum(found.values()) == result["sent"] == 6000
    for fate in ("counted", "duplicate", "late", "future"):
        assert found[fate] == result["fates"][fate] > 0
    refused = found.total() - sum(found[fate] for fate in ("counted", "duplicate", "late", "future"))
    assert refused == result["fates"]["malformed"] > 0


def test_a_backfill_has_its_own_times_and_ends_now(new_topics: NewTopics) -> None:
    topics = new_topics("CreateTime")
    result = topics.cli.result(
        *("--preset", "rough", "--faults", "--days", "2", "--speed", "100000x", "--seed", "3")
    )
    assert result["ended_by"] == "end"
    assert result["sent"] == result["acknowledged"] == len(topics.cli.log())
    found = topics.fates()
    assert found["late"] == result["fates"]["late"] > 0
    assert found["counted"] == result["fates"]["counted"] > 10_000
    assert len(topics.labels()) == result["fraud"] > 100
    stamps = [record.arrival_ms for record in topics.cli.log()]
    assert 1.8 * 86_400_000 < max(stamps) - min(stamps) < 2.2 * 86_400_000


def test_a_backfill_keeps_its_pace(new_topics: NewTopics) -> None:
    topics = new_topics("CreateTime")
    result = topics.cli.result(
        *("--preset", "everyday", "--days", "2", "--speed", "3600x", "--duration", "4s", "--seed", "3")
    )
    assert result["ended_by"] == "duration"
    stamps = [record.arrival_ms for record in topics.cli.log()]
    hours = (max(stamps) - min(stamps)) / 3_600_000
    # Slower on a busy machine, never faster.
    assert 1.0 < hours <= result["seconds"] + 0.1


def test_a_topic_that_stamps_records_itself_takes_no_backfill(new_topics: NewTopics) -> None:
    topics = new_topics("LogAppendTime")
    options = ("--preset", "everyday", "--days", "2", "--speed", "60x")
    code, _, err = topics.cli.run(*options)
    assert code == 3
    assert "CreateTime" in err
    # Nor does it if only the settings say otherwise.
    code, _, err = topics.cli.run(*options, FRAUDCTL_KAFKA__TIMESTAMP_TYPE="CreateTime")
    assert code == 3
    assert "message.timestamp.type" in err
    assert topics.cli.log() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--speed", "60x"], "--preset"),
        (["--preset", "everyday", "--speed", "60x", "--rate", "5"], "--rate"),
        (["--faults"], "--preset"),
        (["--preset", "everyday", "--faults"], "no faults"),
        (["--preset", "everyday", "--speed", "fast"], "60x"),
        (["--preset", "everyday", "--count", "0"], "count"),
    ],
)
def test_what_has_no_meaning_is_refused(new_topics: NewTopics, arguments: list[str], words: str) -> None:
    code, _, err = new_topics("LogAppendTime").cli.run(*arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in err
