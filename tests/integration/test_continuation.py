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
from tests.support.databases import open_session, temporary_database

pytestmark = pytest.mark.services

QUERY = "11111111-2222-4333-8444-555555555555"
FITTING = Present(QUERY, 4, {3: {0: 4}, 4: {0: 5}}, "cluster", "transactions", "topic-id", "fingerprint")
NOTHING_YET = replace(FITTING, query_id=None, last_commit=None, plans={})


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
    [
        FITTING,
        replace(FITTING, plans={4: {0: 5}, 5: {0: 9}}),
        replace(FITTING, last_commit=3),
        replace(FITTING, last_commit=1),
        replace(FITTING, last_commit=None),
    ],
    ids=[
        "level",
        "killed before landing",
        "killed before Spark's commit",
        "commits lost",
        "all commits lost",
    ],
)
def test_it_may_go_on(landed: PostgresEndpoint, present: Present) -> None:
    check(landed, present, connect_seconds=5)


@pytest.mark.parametrize(
    "present",
    [NOTHING_YET, replace(FITTING, last_commit=None, plans={0: {0: 1}})],
    ids=["very first start", "killed before the first landing"],
)
def test_it_may_begin(empty: PostgresEndpoint, present: Present) -> None:
    check(empty, present, connect_seconds=5)


@pytest.mark.parametrize(
    ("present", "says", "hint"),
    [
        (NOTHING_YET, "checkpoint is gone", "--rebuild"),
        (replace(FITTING, query_id="another"), "another query", "--rebuild"),
        (replace(FITTING, last_commit=5), "behind the checkpoint", "--rebuild"),
        (replace(FITTING, plans={5: {0: 6}, 6: {0: 7}}), "behind the checkpoint", "--rebuild"),
        (replace(FITTING, last_commit=3, plans={3: {0: 4}}), "behind the database", "--rebuild"),
        (replace(FITTING, last_commit=None, plans={}), "behind the database", "--rebuild"),
        (
            replace(FITTING, plans={3: {0: 4}, 4: {0: 6}}),
            "disagree about the records of batch 4",
            "--rebuild",
        ),
        (replace(FITTING, cluster_id="x"), "cluster id", "fraudctl detect --new-generation"),
        (replace(FITTING, topic="x"), "topic's name", "fraudctl detect --new-generation"),
        (replace(FITTING, topic_id="x"), "topic's id", "fraudctl detect --new-generation"),
        (replace(FITTING, fingerprint="windows.slide_minutes=0"), "setting", "--rebuild"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_belong_is_refused(
    landed: PostgresEndpoint, present: Present, says: str, hint: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        check(landed, present, connect_seconds=5)
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_while_another_detector_lands_only_what_cannot_change_is_compared(landed: PostgresEndpoint) -> None:
    moved = replace(FITTING, last_commit=8, plans={8: {0: 9}})
    check(landed, moved, connect_seconds=5, settled=False)
    with pytest.raises(RefusedError, match="another query"):
        check(landed, replace(moved, query_id="another"), connect_seconds=5, settled=False)


def test_a_used_checkpoint_with_an_empty_ledger_is_refused(empty: PostgresEndpoint) -> None:
    with pytest.raises(RefusedError, match="knows nothing of"):
        check(empty, FITTING, connect_seconds=5)


@pytest.mark.parametrize("scope", ["DATABASE", "ROLE"])
def test_a_database_that_forgets_what_it_acknowledged_is_refused(empty: PostgresEndpoint, scope: str) -> None:
    name = empty.database if scope == "DATABASE" else empty.user
    with open_session(empty) as session:
        change = f"ALTER {scope} {name} {{}} synchronous_commit"
        session.execute(change.format("SET").encode() + b" = off")
        try:
            with pytest.raises(RefusedError) as caught:
                check(empty, NOTHING_YET, connect_seconds=5)
        finally:
            session.execute(change.format("RESET").encode())
    assert "synchronous_commit = off" in caught.value.message
    check(empty, NOTHING_YET, connect_seconds=5)


def test_of_two_queries_the_one_with_the_higher_epoch_counts(landed: PostgresEndpoint) -> None:
    """Whatever the clock of the database said when they were landed."""
    with open_session(landed) as session:
        session.execute(
            "INSERT INTO fraud.batch_ledger SELECT %s, 9, 0, cluster_id, topic, topic_id, offsets,"
            " intake, watermark, rows, digest, fingerprint, 0, now() + interval '1 day'"
            " FROM fraud.batch_ledger LIMIT 1",
            ("99999999-2222-4333-8444-555555555555",),
        )
    check(landed, FITTING, connect_seconds=5)
