"""What the views say of flags, on rows written by hand."""

from collections.abc import Iterator
from typing import Any

import pytest

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.database.migrations import migrate
from fraudctl.database.windows import CategoryCount, WindowReader
from tests.support.databases import open_session, temporary_database

pytestmark = pytest.mark.services

WINDOWS = """
INSERT INTO fraud.fraud_metrics
       (window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor)
VALUES ('2026-03-10 12:00Z', '2026-03-10 12:10Z', 'Food', 10, 2, 1000, 200),
       ('2026-03-10 12:01Z', '2026-03-10 12:11Z', 'Food', 10, 2, 1000, 200),
       ('2026-03-10 12:00Z', '2026-03-10 12:10Z', 'Retail', 1, 1, 100, 100)
"""
# Partition, digest, minute of the event, category, amount, alone.
FLAGS: list[tuple[int, str, str, str, int, bool]] = [
    (0, "a", "12:00:00", "Food", 30, True),
    (1, "a", "12:00:00", "Food", 30, True),
    (0, "b", "12:05:00", "Food", 30, True),
    (0, "c", "12:05:00", "Food", 999, False),
    (0, "d", "12:10:00", "Food", 7, True),
    (0, "e", "12:05:00", "Retail", 100, True),
]
INSERT = """
INSERT INTO fraud.fraud_flags
       (partition, digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency,
        country, channel, arrival, rule_set, score, rules, alone, query_id, batch_id)
VALUES (%s, %s, 't', 'c', 'm', ('2026-03-10 ' || %s || 'Z')::timestamptz, %s, %s, 'EUR', 'DE', 'pos',
        '2026-03-10 12:12Z', 'set', 50, '{second,first}', %s, gen_random_uuid(), 3)
"""


@pytest.fixture
def database(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        with open_session(endpoint) as session:
            session.execute(WINDOWS)
            session.cursor().executemany(INSERT, FLAGS)
        yield endpoint


def rows(endpoint: PostgresEndpoint, sql: str) -> list[tuple[Any, ...]]:
    with open_session(endpoint) as session:
        return session.execute(sql.encode()).fetchall()


def test_flags_that_no_window_counts_are_added_to_its_own(database: PostgresEndpoint) -> None:
    """Copies once, each in its windows and category, and never more than there is."""
    shown = rows(
        database,
        "SELECT to_char(window_start AT TIME ZONE 'UTC', 'HH24:MI'), category, transactions, flagged,"
        " flagged_share, flagged_amount_minor FROM fraud.panel_windows ORDER BY 1, 2",
    )
    assert shown == [
        ("12:00", "Food", 10, 4, 0.4, 260),
        ("12:00", "Retail", 1, 1, 1.0, 100),
        ("12:01", "Food", 10, 4, 0.4, 237),
    ]
    sliced = "SELECT category, flagged, flagged_amount_minor FROM fraud.panel_slices ORDER BY 1"
    assert rows(database, sliced) == [("Food", 4, 260), ("Retail", 1, 100)]
    with WindowReader(database, connect_seconds=5) as reader:
        assert [part.by_category["Food"] for part in reader.slices(10)] == [CategoryCount(10, 4)]
        assert [window.flagged for window in reader.newest(2)] == [4, 5]


def test_a_flag_is_shown_with_its_reasons(database: PostgresEndpoint) -> None:
    with open_session(database) as session:
        session.execute(
            "INSERT INTO fraud.rule_sets (digest, document) VALUES ('set', '{\"rules\": ["
            '{"id": "first", "reason": "one"}, {"id": "other", "reason": "no"},'
            ' {"id": "second", "reason": "two"}]}\')'
        )
    shown = rows(
        database,
        "SELECT transaction_id, partition, rules, reasons, alone, latency_seconds FROM fraud.panel_flags"
        " WHERE event_time = '2026-03-10 12:10Z'",
    )
    (transaction, partition, rules, reasons, alone, latency) = shown[0]
    assert (transaction, partition, rules, reasons, alone) == ("t", 0, ["second", "first"], "one; two", True)
    assert len(shown) == 1
    assert latency > 0
