"""An evaluation of what has landed: log, ledger, rules and the topic of labels, with real services."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from fraudctl.broker.topics import ensure_topic
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.model import Settings
from fraudctl.errors import RefusedError
from fraudctl.operations.evaluate.evaluate import EvaluateRequest, Evaluation, evaluate, store_evaluation
from tests.support.databases import open_session, temporary_database
from tests.support.landed import Landed, land, make_topic, remove_topic, settings_for

pytestmark = pytest.mark.services

# Of the six that were counted (t-1, a, b, c, d, e) b and d have raised an alert.
LABELS = [("b", "2026-03-10T01:00:00Z", "night", 2), ("c", "2026-03-10T01:00:00Z", "night", 9)]


@pytest.fixture(scope="module")
def settings(endpoints: Endpoints) -> Iterator[Settings]:
    name = f"test-{uuid4().hex[:12]}"
    settings = settings_for(name)
    kafka = settings.kafka.model_copy(update={"labels_topic": f"{name}.labels"})
    settings = settings.model_copy(update={"kafka": kafka})
    make_topic(endpoints, settings)
    yield settings
    remove_topic(endpoints, name)


@pytest.fixture(scope="module")
def labelled(endpoints: Endpoints, settings: Settings) -> Iterator[Settings]:
    topic = settings.kafka.labels_topic
    ensure_topic(
        endpoints.bootstrap_servers,
        settings.kafka.model_copy(update={"topic": topic, "partitions": 1}),
        timeout_seconds=20,
    )
    producer = Producer({"bootstrap.servers": endpoints.bootstrap_servers})
    for name, event_time, scenario, hour in LABELS:
        label = {
            "schema_version": 1,
            "transaction_id": name,
            "event_time": event_time,
            "card_id": "c-1",
            "scenario": scenario,
            "reported_at": f"2026-03-10T{hour:02}:00:00Z",
        }
        producer.produce(topic, json.dumps(label).encode())
    assert producer.flush(20) == 0
    yield settings
    remove_topic(endpoints, topic)


@pytest.fixture
def landed(endpoints: Endpoints, settings: Settings) -> Iterator[Landed]:
    with temporary_database(endpoints.postgres) as database:
        yield land(replace(endpoints, postgres=database), settings)


def evaluated(landed: Landed, as_of: datetime | None) -> Evaluation:
    request = landed.request
    return evaluate(EvaluateRequest(request.settings, request.endpoints, None, None, as_of, None))


def test_alerts_without_labels_are_not_evaluated(landed: Landed) -> None:
    with pytest.raises(RefusedError, match="there are no labels") as caught:
        evaluated(landed, None)
    assert "--preset everyday" in caught.value.hint


def test_what_has_landed_is_measured(landed: Landed, labelled: Settings) -> None:
    found = evaluated(landed, None)
    assert (found.judged, found.evaluated, found.fraud) == (6, 6, 2)
    alerts = found.alerts
    assert (alerts.true_positives, alerts.false_positives, alerts.false_negatives) == (1, 1, 1)
    # Each batch by its own rules: b has 25 points, d 30, c and e have 5 for what the card did before. Fraud b
    # beats 3 of 4, c ties with e and beats 2.
    assert found.auc_roc == (3 + 2.5) / 8
    assert {one.id: (one.figures.true_positives, one.figures.false_positives) for one in found.rules} == {
        "high-amount": (0, 0),
        "odd-hours": (1, 1),
        "again": (2, 1),
    }
    assert (found.flagged.true_positives, found.flagged.false_positives) == (2, 2)
    early = evaluated(landed, datetime(2026, 3, 10, 3, tzinfo=UTC))
    # Known at 03:00 is only b, after one hour; a, b and c are older than that.
    assert (early.labels_known, early.evaluated, early.pending, early.fraud) == (1, 3, 3, 1)
    assert (early.alerts.precision, early.alerts.recall) == (1.0, 1.0)


def test_an_evaluation_is_kept_for_dashboards(landed: Landed, labelled: Settings) -> None:
    request = landed.request
    for as_of in (None, datetime(2026, 3, 10, 3, tzinfo=UTC)):
        store_evaluation(request.settings, request.endpoints, evaluated(landed, as_of))
    with open_session(request.endpoints.postgres) as session:
        cells = session.execute(
            "SELECT said, was, transactions FROM fraud.panel_confusion WHERE as_of IS NULL ORDER BY 1, 2"
        )
        assert cells.fetchall() == [
            ("alert", "fraud", 1),
            ("alert", "genuine", 1),
            ("no alert", "fraud", 1),
            ("no alert", "genuine", 3),
        ]
        shares = session.execute(
            "SELECT precision, recall, f1::float8, alert_rate, as_of IS NULL FROM fraud.panel_evaluations"
            ' ORDER BY "time"'
        )
        assert shares.fetchall() == [(0.5, 0.5, 0.5, 2 / 6, True), (1.0, 1.0, 1.0, 1 / 3, False)]


def test_unknown_rules_are_no_basis(landed: Landed, labelled: Settings) -> None:
    landed.change("UPDATE fraud.batch_ledger SET rule_set = NULL WHERE batch_id = 1")
    with pytest.raises(RefusedError, match="which rules judged every batch"):
        evaluated(landed, None)
