"""A small landed state: a real topic, and the rows that a sound detector would have written for it.

The rows come from the golden cases, which were written by hand; nothing of the recount is used here.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from fraudctl.broker.topics import ensure_topic, identity
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.job import fingerprint
from fraudctl.config.load import load
from fraudctl.config.model import Settings
from fraudctl.database.migrations import migrate
from fraudctl.operations.verify.verify import VerifyRequest
from fraudctl.rules.model import parse_rules
from tests.golden import WINDOWS, value_bytes
from tests.support.databases import open_session

QUERY = "00000000-0000-0000-0000-000000000001"
# Partition 0: what is refused (3 records), odd-hours (5), a copy of the first; partition 1: one late event.
REFUSED = next(case for case in WINDOWS if case["name"] == "what is refused is in no window")
ODD_HOURS = next(case for case in WINDOWS if case["name"].startswith("odd-hours: from 01:00"))
LOG = [*REFUSED["records"], *ODD_HOURS["records"], REFUSED["records"][0]]
ROWS = [*REFUSED["windows"], *ODD_HOURS["windows"]]
DEAD_LETTERS = [(0, 1, "malformed"), (0, 2, "invalid_currency"), (1, 0, "late")]
BATCHES: list[tuple[int, dict[str, list[int]], dict[str, dict[str, int]]]] = [
    (
        0,
        {"0": [0, 3], "1": [0, 1]},
        {"0": {"admitted": 1, "malformed": 1, "invalid_currency": 1}, "1": {"admitted": 0, "late": 1}},
    ),
    (1, {"0": [3, 6], "1": [1, 1]}, {"0": {"admitted": 3}}),
    (2, {"0": [6, 9], "1": [1, 1]}, {"0": {"admitted": 3}, "1": {}}),
]

# Each batch has rules of its own; the conditions are those of configs/rules.yaml.
RULES = [
    parse_rules(
        {
            "rules": [
                {
                    "id": "high-amount",
                    "reason": "dear",
                    "when": {"amount_over": {"Retail": 60000, "Food": 15000, "Electronics": 250000}},
                },
                {
                    "id": "odd-hours",
                    "reason": "at night",
                    "action": "alert",
                    "weight": weight,
                    "when": {"hours_utc": [1, 5], "amount_over": 20000},
                },
                {
                    "id": "again",
                    "reason": "twice within ten minutes",
                    "weight": 5,
                    "when": {"card": {"within_minutes": 10, "count_over": 1}},
                },
            ]
        }
    )
    for weight in (10, 20, 30)
]
# Batch, event time, arrival in seconds, and the fields as the digest takes them: times as microseconds.
ALERTS = [
    (
        1,
        "2026-03-10 01:00Z",
        1_773_104_400,
        ("1", "b", "1773104400000000", "c-1", "m-1", "Retail", "20002", "EUR", "DE", "pos"),
    ),
    (
        2,
        "2026-03-10 04:59:59.999999Z",
        1_773_118_800,
        ("1", "d", "1773118799999999", "c-1", "m-1", "Retail", "20004", "EUR", "DE", "pos"),
    ),
]
# a, b and c lie within ten minutes, and so do d and e: of each the first is no second one. Batch, event time,
# arrival in seconds, rules, their score, whether none of them asks only of the transaction, and the fields.
FLAGS = [
    (1, "2026-03-10 01:00Z", 1_773_104_400, "{odd-hours,again}", 25, False, ALERTS[0][3]),
    (
        1,
        "2026-03-10 01:00Z",
        1_773_104_400,
        "{again}",
        5,
        True,
        ("1", "c", "1773104400000000", "c-1", "m-1", "Retail", "20000", "EUR", "DE", "pos"),
    ),
    (
        2,
        "2026-03-10 05:00Z",
        1_773_118_800,
        "{again}",
        5,
        True,
        ("1", "e", "1773118800000000", "c-1", "m-1", "Retail", "20008", "EUR", "DE", "pos"),
    ),
]


@dataclass(frozen=True)
class Landed:
    """One topic and one database that agree, and what `verify` is to be asked."""

    request: VerifyRequest

    def change(self, sql: str, *parameters: Any) -> int:
        """Tamper with the database; how many rows were hit."""
        with open_session(self.request.endpoints.postgres) as session:
            return session.execute(sql.encode(), parameters or None).rowcount


def settings_for(topic: str) -> Settings:
    """The arrivals of the golden cases lie in the past: retention by age must not remove them."""
    return load(
        flags={
            "kafka.topic": topic,
            "kafka.partitions": 2,
            "kafka.timestamp_type": "CreateTime",
            "kafka.retention_hours": 1_000_000,
        }
    ).settings


def make_topic(endpoints: Endpoints, settings: Settings) -> None:
    """A topic that keeps the golden cases' arrivals, filled with LOG."""
    ensure_topic(endpoints.bootstrap_servers, settings.kafka, timeout_seconds=20.0)
    producer = Producer(
        {"bootstrap.servers": endpoints.bootstrap_servers, "acks": "all", "enable.idempotence": True}
    )
    failures: list[object] = []
    for record in LOG:
        producer.produce(
            settings.kafka.topic,
            value_bytes(record),
            partition=record["partition"],
            timestamp=record["arrival_ms"],
            on_delivery=lambda error, _message: failures.append(error) if error else None,
        )
    assert producer.flush(20.0) == 0
    assert failures == []


def remove_topic(endpoints: Endpoints, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": endpoints.bootstrap_servers})
    for future in admin.delete_topics([topic]).values():
        future.result(20.0)


def land(endpoints: Endpoints, settings: Settings) -> Landed:
    """Fill the (empty) database of `endpoints` with what a detector lands for LOG."""
    topic = settings.kafka.topic
    origin = identity(endpoints.bootstrap_servers, topic, timeout_seconds=20.0)
    mark = fingerprint(
        topic=topic,
        events=settings.events,
        windows=settings.windows,
        lateness=settings.lateness,
        card_horizon_seconds=600,
    )
    migrate(endpoints.postgres, connect_seconds=5.0, lock_wait_seconds=20.0)
    with open_session(endpoints.postgres) as session, session.transaction():
        for batch_id, offsets, intake in BATCHES:
            session.execute(
                "INSERT INTO fraud.batch_ledger (query_id, batch_id, epoch, cluster_id, topic, topic_id,"
                " offsets, intake, watermark, rows, digest, fingerprint, rule_set)"
                " VALUES (%s, %s, 1, %s, %s, %s, %s, %s, '1970-01-01Z', 0, '', %s, %s)",
                (
                    QUERY,
                    batch_id,
                    origin.cluster_id,
                    topic,
                    origin.topic_id,
                    json.dumps(offsets),
                    json.dumps(intake),
                    mark,
                    RULES[batch_id].digest,
                ),
            )
        session.cursor().executemany(
            "INSERT INTO fraud.fraud_metrics VALUES (%(window_start)s, %(window_end)s, %(category)s,"
            " %(count)s, %(flagged_count)s, %(amount_minor)s, %(flagged_amount_minor)s)",
            ROWS,
        )
        session.cursor().executemany(
            "INSERT INTO fraud.dead_letters VALUES (%s, %s, %s, %s, to_timestamp(%s), %s, %s)",
            [(topic, *letter, *_kept(*letter[:2])) for letter in DEAD_LETTERS],
        )
        session.cursor().executemany(
            "INSERT INTO fraud.rule_sets VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [(rules.digest, json.dumps(rules.document)) for rules in RULES],
        )
        session.cursor().executemany(
            "INSERT INTO fraud.fraud_alerts VALUES (%s, %s, 'c-1', 'm-1', %s, 'Retail', %s, 'EUR', 'DE',"
            " 'pos', to_timestamp(%s), %s, %s, '{odd-hours}', %s, %s)",
            [
                (
                    _digest(fields),
                    fields[1],
                    time,
                    int(fields[6]),
                    arrival_seconds,
                    RULES[batch_id].digest,
                    RULES[batch_id].rules[1].weight,
                    QUERY,
                    batch_id,
                )
                for batch_id, time, arrival_seconds, fields in ALERTS
            ],
        )
        session.cursor().executemany(
            "INSERT INTO fraud.fraud_flags VALUES (0, %s, %s, 'c-1', 'm-1', %s, 'Retail', %s, 'EUR', 'DE',"
            " 'pos', to_timestamp(%s), %s, %s, %s, %s, %s, %s)",
            [
                (
                    _digest(fields),
                    fields[1],
                    time,
                    int(fields[6]),
                    arrival_seconds,
                    RULES[batch_id].digest,
                    score,
                    rules,
                    alone,
                    QUERY,
                    batch_id,
                )
                for batch_id, time, arrival_seconds, rules, score, alone, fields in FLAGS
            ],
        )
    return Landed(VerifyRequest(endpoints, settings))


def _digest(fields: tuple[str, ...]) -> str:
    return hashlib.sha256("\x1f".join(fields).encode()).hexdigest()


def _kept(partition: int, offset: int) -> tuple[int, bytes, int]:
    """Arrival, payload and length of a refused record; none of them is long, or holds a card's number."""
    own = [record for record in LOG if record["partition"] == partition]
    value = value_bytes(own[offset]) or b""
    assert own[offset]["arrival_ms"] % 1000 == 0
    return own[offset]["arrival_ms"] // 1000, value, len(value)
