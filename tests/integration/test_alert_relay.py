"""Alerts from the table to the topic: each once, also after a crash between sending and marking."""

from collections.abc import Iterator
from uuid import uuid4

import msgspec
import pytest

from fraudctl.broker.log import read_whole
from fraudctl.broker.topics import end_offsets, ensure_topic
from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.job import AlertsOut
from fraudctl.config.load import load
from fraudctl.database import lease
from fraudctl.database.connection import connect
from fraudctl.database.landing import Alert, Landing, MicroBatch, Source
from fraudctl.database.lease import Holder
from fraudctl.database.migrations import migrate
from fraudctl.detector.relay import AlertRelay
from fraudctl.errors import FencedError, UnreachableError
from fraudctl.rules.model import parse_rules
from tests.support.databases import open_session, temporary_database
from tests.support.landed import remove_topic

pytestmark = pytest.mark.services

SETTINGS = load().settings
RULES = parse_rules(
    {"rules": [{"id": "dear", "version": 3, "reason": "a dear one", "when": {"amount_over": 1}}]}
)


@pytest.fixture
def database(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        yield endpoint


@pytest.fixture
def out(endpoints: Endpoints) -> Iterator[AlertsOut]:
    topic = SETTINGS.kafka.model_copy(update={"topic": f"alerts-{uuid4().hex[:12]}", "partitions": 2})
    ensure_topic(endpoints.bootstrap_servers, topic, timeout_seconds=20)
    yield AlertsOut(topic=topic, producer=SETTINGS.producer)
    remove_topic(endpoints, topic.topic)


def alert(name: str) -> Alert:
    return Alert(name * 64, f"t-{name}", "c", "m", 0, "Food", 100, "EUR", "DE", "pos", 5_000_000, 50, "dear")


def landed(database: PostgresEndpoint, *names: str) -> Landing:
    landing = Landing(
        database,
        Source("cluster", "transactions", "topic-id", "fingerprint"),
        SETTINGS.landing,
        holder=Holder("test", ""),
        connect_seconds=5,
        stopping=lambda: True,
        on_retry=lambda _line: None,
    )
    landing.acquire()
    landing.begin_rules(RULES.digest, RULES.document)
    for number, name in enumerate(names):
        alerts = (alert(name),)
        offsets = {0: (number, number + 1)}
        landing.land(
            MicroBatch(str(uuid4()), number, offsets, {}, 0, (), (), alerts=alerts, rule_set=RULES.digest)
        )
    return landing


def relay(
    endpoints: Endpoints, database: PostgresEndpoint, out: AlertsOut, epoch: int, **changed: str
) -> AlertRelay:
    servers = changed.get("servers", endpoints.bootstrap_servers)
    return AlertRelay(database, servers, out, epoch, connect_seconds=5, on_trouble=print)


def messages(endpoints: Endpoints, out: AlertsOut) -> list[dict[str, object]]:
    held = end_offsets(endpoints.bootstrap_servers, out.topic.topic, timeout_seconds=20)
    records = read_whole(endpoints.bootstrap_servers, out.topic.topic, held, timeout_seconds=20)
    return [msgspec.json.decode(record.value or b"") for record in records]


def test_each_alert_is_sent_once_and_a_crash_sends_none_twice(
    endpoints: Endpoints, database: PostgresEndpoint, out: AlertsOut
) -> None:
    landing = landed(database, "a", "b", "a")
    assert relay(endpoints, database, out, landing.epoch).send_all() == 2
    assert relay(endpoints, database, out, landing.epoch).send_all() == 0
    with open_session(database) as session:
        # As if the process had died between the acknowledgement and the mark, and a third had landed since.
        session.execute("UPDATE fraud.fraud_alerts SET published_at = NULL WHERE transaction_id = 't-a'")
        session.execute(
            "INSERT INTO fraud.fraud_alerts SELECT repeat('c', 64), 't-c', card_id, merchant_id, event_time,"
            " category, amount_minor, currency, country, channel, arrival, rule_set, score, rules, query_id,"
            " batch_id FROM fraud.fraud_alerts WHERE transaction_id = 't-b'"
        )
        assert relay(endpoints, database, out, landing.epoch).send_all() == 1
        open_ones = session.execute("SELECT count(*) FROM fraud.fraud_alerts WHERE published_at IS NULL")
        assert open_ones.fetchone() == (0,)
    sent = messages(endpoints, out)
    assert sorted(str(one["transaction_id"]) for one in sent) == ["t-a", "t-b", "t-c"]
    first = next(one for one in sent if one["transaction_id"] == "t-a")
    assert first["alert_id"] == "a" * 64
    assert first["reasons"] == [{"rule": "dear", "version": 3, "text": "a dear one"}]
    assert (first["rule_set"], first["score"], first["amount_minor"]) == (RULES.digest, 50, 100)
    assert first["event_time"] == "1970-01-01T00:00:00Z"
    landing.close()


def test_a_fenced_detector_sends_nothing(
    endpoints: Endpoints, database: PostgresEndpoint, out: AlertsOut
) -> None:
    landing = landed(database, "a")
    lease.evict(database, lease.look(database, connect_seconds=5), by="test", connect_seconds=5)
    with connect(database, application="test", timeout_seconds=5, autocommit=True) as connection:
        lease.acquire(connection, Holder("successor", ""), 60)
    with pytest.raises(FencedError):
        relay(endpoints, database, out, landing.epoch).send_all()
    assert messages(endpoints, out) == []
    landing.close()


def test_a_broker_that_is_away_leaves_them_for_later(
    endpoints: Endpoints, database: PostgresEndpoint, out: AlertsOut
) -> None:
    landing = landed(database, "a")
    with pytest.raises(UnreachableError):
        relay(endpoints, database, out, landing.epoch, servers="127.0.0.1:1").send_all()
    with relay(endpoints, database, out, landing.epoch):
        pass  # its end sends what is left
    assert len(messages(endpoints, out)) == 1
    landing.close()


def test_rules_are_begun_once_and_a_landed_batch_keeps_its_own(database: PostgresEndpoint) -> None:
    landing = landed(database)
    other = parse_rules({"rules": []})
    assert landing.begin_rules(other.digest, other.document).digest == RULES.digest
    query = str(uuid4())
    landing.land(MicroBatch(query, 0, {0: (0, 1)}, {}, 0, (), (), rule_set=RULES.digest))
    with open_session(database) as session:
        session.execute("INSERT INTO fraud.rule_sets VALUES (%s, '{\"rules\": []}')", (other.digest,))
        session.execute("UPDATE fraud.active_rules SET rule_set = %s", (other.digest,))
    for batch_id, digest in ((0, RULES.digest), (1, other.digest)):
        wanted = landing.wanted_rules(query, batch_id, known="another")
        assert wanted is not None
        assert wanted.digest == digest
        assert parse_rules(wanted.document).digest == digest
        assert landing.wanted_rules(query, batch_id, known=digest) is None, "there is nothing to say"
    landing.close()
