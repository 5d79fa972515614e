"""May a detector go on? Against a real ledger."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.load import load
from fraudctl.database.continuation import Present, check
from fraudctl.database.landing import Landing, MicroBatch, Source
from fraudctl.database.lease import Holder
from fraudctl.database.migrations import migrate
from fraudctl.errors import RefusedError
from tests.integration.databases import temporary_database

pytestmark = pytest.mark.services

QUERY = "11111111-2222-4333-8444-555555555555"
FITTING = Present(QUERY, 4, "cluster", "transactions", "topic-id", "fingerprint")
NOTHING_YET = replace(FITTING, query_id=None, last_commit=None)


@pytest.fixture(scope="module")
def empty(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        yield endpoint


@pytest.fixture(scope="module")
def landed(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    """A ledger that ends with batch 4."""
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        writer = Landing(
            endpoint,
            Source("cluster", "transactions", "topic-id", "fingerprint"),
            load().settings.landing,
            holder=Holder("test", ""),
            connect_seconds=2,
            stopping=lambda: False,
            on_retry=lambda _line: None,
        )
        writer.acquire()
        for batch in range(5):
            writer.land(MicroBatch(QUERY, batch, {0: (batch, batch + 1)}, {0: {"admitted": 1}}, 0, (), ()))
        writer.close()
        yield endpoint


@pytest.mark.parametrize(
    "present",
    [FITTING, replace(FITTING, last_commit=3), replace(FITTING, last_commit=None)],
    ids=["level", "killed before Spark's commit", "first batch landed, none committed"],
)
def test_it_may_go_on(landed: PostgresEndpoint, present: Present) -> None:
    check(landed, present, connect_seconds=5)


@pytest.mark.parametrize(
    "present",
    [NOTHING_YET, replace(FITTING, last_commit=None)],
    ids=["very first start", "killed before the first landing"],
)
def test_it_may_begin(empty: PostgresEndpoint, present: Present) -> None:
    check(empty, present, connect_seconds=5)


@pytest.mark.parametrize(
    ("present", "says"),
    [
        (NOTHING_YET, "checkpoint is gone"),
        (replace(FITTING, query_id="another"), "another query"),
        (replace(FITTING, last_commit=5), "behind the checkpoint"),
        (replace(FITTING, cluster_id="x"), "cluster id"),
        (replace(FITTING, topic="x"), "topic's name"),
        (replace(FITTING, topic_id="x"), "topic's id"),
        (replace(FITTING, fingerprint="x"), "setting"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_belong_is_refused(landed: PostgresEndpoint, present: Present, says: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check(landed, present, connect_seconds=5)
    assert says in caught.value.message
    assert "fraudctl down --volumes" in caught.value.hint


def test_a_used_checkpoint_with_an_empty_ledger_is_refused(empty: PostgresEndpoint) -> None:
    with pytest.raises(RefusedError, match="knows nothing of"):
        check(empty, FITTING, connect_seconds=5)
