"""fraudctl produce as a user types it, against a real broker: every event is accounted for."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient

from fraudctl.broker.log import LogRecord, read_ranges
from fraudctl.broker.topics import end_offsets, ensure_topic
from fraudctl.clock import StopFlag, utc_now
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.load import load
from fraudctl.operations.produce.steady import Progress, produce_messages
from fraudctl.runtime.ports import free_port
from fraudctl.simulator.arrivals import DEMO_FAULTS, Message, arrivals

pytestmark = pytest.mark.services
SECONDS = 20.0


@dataclass(frozen=True)
class Cli:
    """Runs `fraudctl produce` in a home of its own, on a topic of its own."""

    servers: str
    topic: str
    environment: dict[str, str]

    def spawn(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "fraudctl", "produce", *arguments],
            env=self.environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        process = self.spawn(*arguments, **settings)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def result(self, *arguments: str) -> dict[str, Any]:
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        parsed: dict[str, Any] = json.loads(out)
        return parsed

    def log(self) -> list[LogRecord]:
        ends = end_offsets(self.servers, self.topic, timeout_seconds=SECONDS)
        return list(read_ranges(self.servers, self.topic, ends, timeout_seconds=SECONDS))

    def events(self) -> list[dict[str, Any]]:
        """The topic's events in the order in which they happened."""
        events = [json.loads(record.value or b"") for record in self.log()]
        return sorted(events, key=lambda event: str(event["event_time"]))


@pytest.fixture
def cli(endpoints: Endpoints, tmp_path: Path) -> Iterator[Cli]:
    servers = endpoints.bootstrap_servers
    topic = f"test-{uuid4().hex[:12]}"
    ensure_topic(servers, load(flags={"kafka.topic": topic}).settings.kafka, timeout_seconds=SECONDS)
    yield Cli(servers, topic, environment(tmp_path, servers, topic))
    admin = AdminClient({"bootstrap.servers": servers})
    admin.delete_topics([topic])[topic].result(SECONDS)


def environment(home: Path, servers: str, topic: str) -> dict[str, str]:
    """A stack that was never brought up, whose broker is said to be at `servers`."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FRAUDCTL_")}
    return clean | {
        "FRAUDCTL_HOME": str(home),
        "FRAUDCTL_PROFILE": "external",
        "FRAUDCTL_KAFKA__BOOTSTRAP_SERVERS": servers,
        "FRAUDCTL_KAFKA__TOPIC": topic,
        "FRAUDCTL_TIMEOUTS__CONNECT_SECONDS": "2",
    }


def test_sent_is_acknowledged_is_in_the_log(cli: Cli) -> None:
    result = cli.result("--rate", "2000", "--count", "3001", "--seed", "7")
    assert (result["sent"], result["acknowledged"], result["failed"]) == (3001, 3001, 0)
    assert result["errors"] == {}
    assert result["ended_by"] == "count"
    assert len(cli.log()) == 3001
    assert len({event["transaction_id"] for event in cli.events()}) == 3001


def test_the_same_seed_gives_the_same_events_apart_from_the_clock(cli: Cli) -> None:
    first = cli.result("--rate", "1000", "--count", "400", "--seed", "11")
    second = cli.result("--rate", "250", "--count", "400", "--seed", "11")
    assert first["digest"] == second["digest"]
    assert first["anchor"] < second["anchor"]

    def without_clock(event: dict[str, Any]) -> dict[str, Any]:
        return event | {"event_time": "", "transaction_id": event["transaction_id"][13:]}

    events = cli.events()
    assert [without_clock(event) for event in events[:400]] == [
        without_clock(event) for event in events[400:]
    ]
    assert len({event["transaction_id"] for event in events}) == 800


def test_events_happen_at_their_scheduled_times(cli: Cli) -> None:
    result = cli.result("--rate", "400", "--count", "200", "--seed", "1")
    first = int(cli.events()[0]["transaction_id"].replace("-", "")[:12], 16)
    milliseconds = [int(event["transaction_id"].replace("-", "")[:12], 16) for event in cli.events()]
    assert [moment - first for moment in milliseconds] == pytest.approx([2.5 * i for i in range(200)], abs=1)
    assert cli.events()[0]["event_time"] == result["anchor"]


def test_a_card_stays_on_its_partition(cli: Cli) -> None:
    cli.result("--rate", "5000", "--count", "2000")
    partitions: dict[str, set[int]] = {}
    for record in cli.log():
        partitions.setdefault(json.loads(record.value or b"")["card_id"], set()).add(record.partition)
    assert all(len(found) == 1 for found in partitions.values())
    assert len({partition for found in partitions.values() for partition in found}) == 3


def test_a_drawn_seed_is_told_and_repeats_the_run(cli: Cli) -> None:
    first = cli.result("--count", "20")
    second = cli.result("--count", "20", "--seed", str(first["seed"]))
    assert first["digest"] == second["digest"]


def test_without_a_rate_the_events_are_the_same_and_happen_as_they_leave(cli: Cli) -> None:
    slow = cli.result("--rate", "2000", "--count", "1500", "--seed", "11")
    before = utc_now()
    fast = cli.result("--rate", "max", "--count", "1500", "--seed", "11")
    after = utc_now()
    assert (fast["rate_asked"], fast["ended_by"]) == (None, "count")
    assert fast["digest"] == slow["digest"]
    times = [datetime.fromisoformat(event["event_time"]) for event in cli.events()[1500:]]
    assert before <= times[0] + timedelta(milliseconds=1)
    assert times[-1] <= after


def test_without_a_rate_a_duration_ends_it(cli: Cli) -> None:
    result = cli.result("--rate", "max", "--duration", "0.5s")
    assert result["ended_by"] == "duration"
    assert result["sent"] == result["acknowledged"] == len(cli.log()) > 500


def test_a_duration_is_worth_its_rate(cli: Cli) -> None:
    result = cli.result("--rate", "300", "--duration", "0.5s")
    assert (result["sent"], result["ended_by"]) == (150, "duration")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_flushes_and_prints_the_totals(cli: Cli, number: int) -> None:
    process = cli.spawn("--rate", "500", "--json")
    assert process.stderr
    # The first plain line is said once traffic has flowed for a while.
    line = process.stderr.readline()
    assert "acknowledged" in line
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert result["ended_by"] == "stop"
    assert result["sent"] == result["acknowledged"] == len(cli.log()) > 0


def test_text_for_people(cli: Cli) -> None:
    code, out, err = cli.run("--count", "50", "--rate", "1000", "--seed", "3")
    assert (code, err) == (0, "")
    assert out.startswith(f"sent 50 to '{cli.topic}': 50 acknowledged, 0 failed\n")
    assert "seed: 3  digest: " in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rate", "-1"), "rate must be above 0"),
        (("--rate", "0"), "rate must be above 0"),
        (("--count", "0"), "count must be at least 1"),
        (("--seed", "-3"), "seed must be from 0"),
        (("--duration", "soon"), "time span"),
        (("--rate", "fast"), "should be a valid number"),
        (("--rate", "inf"), "should be a valid number"),
    ],
)
def test_what_has_no_meaning_is_a_usage_error(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = cli.run(*arguments)
    assert (code, out) == (2, "")
    assert words in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_a_missing_topic_is_refused(cli: Cli) -> None:
    code, out, err = cli.run("--count", "1", FRAUDCTL_KAFKA__TOPIC="test-nowhere")
    assert (code, out) == (3, "")
    assert err.startswith("error: the topic 'test-nowhere' does not exist")
    assert "hint: create it with `fraudctl migrate`" in err


def test_no_broker_at_the_start_is_unreachable(tmp_path: Path) -> None:
    port = free_port()
    nowhere = Cli("", "any", environment(tmp_path, f"127.0.0.1:{port}", "any"))
    code, out, err = nowhere.run("--count", "1", "--json")
    assert code == 4
    assert json.loads(out)["error"]["exit_code"] == 4
    assert err.startswith(f"error: Kafka does not answer at 127.0.0.1:{port}\n")
    assert "Connection refused" in err
    assert "Traceback" not in err


def test_simulated_arrivals_keep_their_times_and_order(endpoints: Endpoints) -> None:
    servers = endpoints.bootstrap_servers
    settings = load(
        flags={"kafka.topic": f"test-{uuid4().hex[:12]}", "kafka.timestamp_type": "CreateTime"}
    ).settings
    topic = settings.kafka.topic
    ensure_topic(servers, settings.kafka, timeout_seconds=SECONDS)
    start_ms = int(utc_now().timestamp() // 60 - 600) * 60_000
    messages = arrivals(
        settings.producer,
        settings.events,
        settings.lateness,
        seed=4,
        start_ms=start_ms,
        hours=1,
        events_per_minute=40,
        faults=DEMO_FAULTS,
    )
    seen: list[Progress] = []
    account = produce_messages(servers, settings, messages, stop=StopFlag(), observe=seen.append)
    ends = end_offsets(servers, topic, timeout_seconds=SECONDS)
    records = list(read_ranges(servers, topic, ends, timeout_seconds=SECONDS))
    admin = AdminClient({"bootstrap.servers": servers})
    admin.delete_topics([topic])[topic].result(SECONDS)
    sent: list[Message] = list(messages)
    assert account.sent == account.acknowledged == len(sent) == len(records)
    assert sorted((record.arrival_ms, record.value) for record in records) == sorted(
        (message.arrival_ms, message.value) for message in sent
    )
    for partition in ends:
        times = [record.arrival_ms for record in records if record.partition == partition]
        assert times == sorted(times)
    assert seen[-1].deliveries == account
