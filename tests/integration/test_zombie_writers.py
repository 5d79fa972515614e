"""Why the fence: the same story with a plain upsert lowers counts, with the landing it changes nothing."""

from collections.abc import Iterator
from typing import Protocol

import pytest

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.load import load
from fraudctl.database import lease
from fraudctl.database.landing import Landing, MicroBatch, Source, WindowRow
from fraudctl.database.lease import Holder
from fraudctl.database.migrations import migrate
from fraudctl.errors import FencedError
from tests.support.databases import open_session, temporary_database

pytestmark = [pytest.mark.services]

QUERY = "11111111-2222-4333-8444-555555555555"


class Writer(Protocol):
    def acquire(self) -> int: ...
    def land(self, batch: MicroBatch) -> object: ...
    def close(self) -> None: ...


class PlainUpsert:
    """What is often thought to be enough: repeating it changes nothing, so it is taken to be safe."""

    def __init__(self, endpoint: PostgresEndpoint) -> None:
        self._endpoint = endpoint

    def acquire(self) -> int:
        return 0

    def land(self, batch: MicroBatch) -> None:
        with open_session(self._endpoint) as session:
            for row in batch.windows:
                session.execute(
                    "INSERT INTO fraud.fraud_metrics"
                    " VALUES (to_timestamp(%s), to_timestamp(%s), %s, %s, 0, 0, 0)"
                    " ON CONFLICT (window_start, window_end, category) DO UPDATE SET count = EXCLUDED.count",
                    (row.window_start_us / 1e6, row.window_end_us / 1e6, row.category, row.count),
                )

    def close(self) -> None:
        pass


@pytest.fixture
def database(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        yield endpoint


def fenced_writer(endpoint: PostgresEndpoint) -> Landing:
    return Landing(
        endpoint,
        Source("cluster", "transactions", "topic-id", "fingerprint"),
        load().settings.landing,
        holder=Holder("test", ""),
        connect_seconds=5,
        stopping=lambda: False,
        on_retry=lambda _line: None,
    )


def batch(number: int, count: int) -> MicroBatch:
    row = WindowRow(0, 600_000_000, "Food", count, 0, 0, 0)
    return MicroBatch(QUERY, number, {0: (number, number + 1)}, {0: {"admitted": 1}}, 0, (row,), ())


def the_story(database: PostgresEndpoint, zombie: Writer, successor: Writer) -> int:
    """The zombie has counted to 2,000 when it is halted; its successor lands that and 3,000; it wakes up."""
    zombie.acquire()
    zombie.land(batch(0, 1000))
    halted_with = batch(1, 2000)
    lease.evict(database, lease.look(database, connect_seconds=5), by="successor", connect_seconds=5)
    successor.acquire()
    successor.land(halted_with)
    successor.land(batch(2, 3000))
    try:
        zombie.land(halted_with)
    except FencedError:
        pass
    finally:
        zombie.close()
        successor.close()
    with open_session(database) as session:
        rows = session.execute("SELECT count FROM fraud.fraud_metrics").fetchall()
    assert len(rows) == 1
    return int(rows[0][0])


def test_a_plain_upsert_lets_the_zombie_lower_a_count(database: PostgresEndpoint) -> None:
    """The story bites: whoever upserts without a fence fails it."""
    assert the_story(database, PlainUpsert(database), PlainUpsert(database)) == 2000


def test_the_landing_does_not(database: PostgresEndpoint) -> None:
    assert the_story(database, fenced_writer(database), fenced_writer(database)) == 3000
