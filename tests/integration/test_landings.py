"""Counting landings: repetitions apart, since an instant, and through a connection that was lost."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.database.landings import Landings, LandingsReader
from fraudctl.database.migrations import migrate
from fraudctl.errors import UnreachableError
from fraudctl.runtime.ports import free_port
from tests.support.databases import open_session, temporary_database

pytestmark = pytest.mark.services

QUERY = "00000000-0000-0000-0000-000000000001"
BETWEEN = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def ledger(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    """Three batches, one of them before `BETWEEN`; the second was landed twice more."""
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        with open_session(endpoint) as session:
            for batch_id, hour, replays in ((0, 11, 0), (1, 13, 2), (2, 14, 0)):
                session.execute(
                    "INSERT INTO fraud.batch_ledger (query_id, batch_id, epoch, cluster_id, topic, topic_id,"
                    " offsets, intake, watermark, rows, digest, fingerprint, replays, committed_at)"
                    " VALUES (%s, %s, 1, '', 't', '', '{}', '{}', '1970-01-01Z', 0, '', '', %s, %s)",
                    (QUERY, batch_id, replays, datetime(2026, 1, 1, hour, tzinfo=UTC)),
                )
        yield endpoint


def test_repetitions_are_told_apart_and_an_instant_divides(ledger: PostgresEndpoint) -> None:
    with LandingsReader(ledger, connect_seconds=5) as reader:
        assert reader.look(BETWEEN) == Landings(batches=3, again=2, since=2)
        assert reader.look(BETWEEN).total == 5


def test_a_lost_connection_is_opened_anew(ledger: PostgresEndpoint) -> None:
    with LandingsReader(ledger, connect_seconds=5) as reader:
        reader.look(BETWEEN)
        with open_session(ledger) as session:
            ended = session.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'fraudctl drill'"
            ).fetchall()
        assert ended == [(True,)]
        assert reader.look(BETWEEN).batches == 3


def test_a_database_that_is_away_is_unreachable(ledger: PostgresEndpoint) -> None:
    reader = LandingsReader(replace(ledger, port=free_port()), connect_seconds=1)
    with reader, pytest.raises(UnreachableError):
        reader.look(BETWEEN)
