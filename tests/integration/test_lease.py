"""The lease against a real PostgreSQL: one holder at a time, and a successor only when it is right."""

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from fraudctl.clock import Deadline
from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.database import lease
from fraudctl.database.connection import Connection, connect
from fraudctl.database.lease import Heartbeat, Holder
from fraudctl.database.migrations import migrate
from fraudctl.errors import FencedError, RefusedError
from tests.support.databases import open_session, temporary_database

pytestmark = pytest.mark.services

LONG = 600.0
Ask = Callable[[str], int]


@pytest.fixture
def database(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        yield endpoint


@pytest.fixture
def connection(database: PostgresEndpoint) -> Iterator[Connection]:
    with connect(database, application="test", timeout_seconds=5, autocommit=True) as opened:
        yield opened


def holder(name: str) -> Holder:
    return Holder(name, f"process of {name}")


def silence(database: PostgresEndpoint, seconds: float) -> None:
    """As if the holder had not been heard of for so long."""
    with open_session(database) as session:
        session.execute(
            "UPDATE fraud.pipeline_lease SET heartbeat_at = now() - make_interval(secs => %s)", (seconds,)
        )


def test_a_fresh_lease_is_free_and_can_be_had_once(connection: Connection) -> None:
    assert lease.read(connection).free
    first = lease.acquire(connection, holder("first"), LONG)
    with pytest.raises(RefusedError) as caught:
        lease.acquire(connection, holder("second"), LONG)
    assert "first" in caught.value.detail
    assert "--takeover" in caught.value.hint
    now = lease.read(connection)
    assert (now.epoch, now.holder, now.process, now.free) == (first, "first", "process of first", False)


def test_a_silent_holder_is_succeeded_after_its_own_time_only(
    database: PostgresEndpoint, connection: Connection
) -> None:
    """The span that counts is the holder's, whatever the successor's settings say."""
    first = lease.acquire(connection, holder("first"), LONG)
    silence(database, LONG - 60)
    with pytest.raises(RefusedError):
        lease.acquire(connection, holder("second"), 1)
    silence(database, LONG + 1)
    assert lease.acquire(connection, holder("second"), 1) == first + 1
    with pytest.raises(FencedError):
        lease.beat(connection, first)


def test_a_beat_keeps_the_lease(database: PostgresEndpoint, connection: Connection) -> None:
    epoch = lease.acquire(connection, holder("first"), LONG)
    silence(database, LONG + 1)
    lease.beat(connection, epoch)
    with pytest.raises(RefusedError):
        lease.acquire(connection, holder("second"), LONG)


def test_only_the_holder_that_was_seen_is_evicted(database: PostgresEndpoint, connection: Connection) -> None:
    epoch = lease.acquire(connection, holder("first"), LONG)
    seen = lease.read(connection)
    assert lease.evict(database, seen, by="second", connect_seconds=5)
    assert lease.read(connection).free
    third = lease.acquire(connection, holder("third"), LONG)
    assert third > epoch + 1
    assert not lease.evict(database, seen, by="second", connect_seconds=5)
    lease.beat(connection, third)
    with pytest.raises(FencedError, match="taken over"):
        lease.beat(connection, epoch)


@pytest.mark.parametrize("rivals", [2, 8])
def test_of_several_at_once_exactly_one_gets_it(database: PostgresEndpoint, rivals: int) -> None:
    got: list[int] = []
    refused: list[str] = []
    together = threading.Barrier(rivals)

    def ask(number: int) -> None:
        with connect(database, application="test", timeout_seconds=5, autocommit=True) as own:
            together.wait(30)
            try:
                got.append(lease.acquire(own, holder(f"rival {number}"), LONG))
            except RefusedError as error:
                refused.append(error.detail)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(rivals)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 1
    assert len(refused) == rivals - 1
    assert all("rival" in detail for detail in refused)


def test_a_merge_that_is_under_way_holds_off_a_successor(
    database: PostgresEndpoint, connection: Connection
) -> None:
    """The former holder's transaction ends first; only then does the eviction come about."""
    epoch = lease.acquire(connection, holder("first"), LONG)
    seen = lease.read(connection)
    done: list[bool] = []
    with connect(database, application="merge", timeout_seconds=5) as merging:
        lease.beat(merging, epoch)
        waiting = threading.Thread(
            target=lambda: done.append(lease.evict(database, seen, by="second", connect_seconds=5))
        )
        waiting.start()
        deadline = Deadline(20)
        while not _waits_for_a_lock(database) and not deadline.expired:
            threading.Event().wait(0.02)
        assert _waits_for_a_lock(database)
        assert done == []
        merging.commit()
        waiting.join(30)
    assert done == [True]


def _waits_for_a_lock(database: PostgresEndpoint) -> bool:
    with open_session(database) as session:
        row = session.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ).fetchone()
    return row == (1,)


def test_the_heartbeat_keeps_the_lease_and_notices_its_loss(
    database: PostgresEndpoint, connection: Connection
) -> None:
    epoch = lease.acquire(connection, holder("first"), 1)
    trouble: list[str] = []
    with Heartbeat(
        database, epoch, lease_seconds=1, connect_seconds=5, on_trouble=trouble.append
    ) as heartbeat:
        silence(database, 60)
        until(lambda: not lease.read(connection).free)
        lost_once = open_session(database)
        lost_once.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'fraudctl heartbeat' AND datname = current_database()"
        )
        lost_once.close()
        until(lambda: bool(trouble))
        silence(database, 60)
        until(lambda: not lease.read(connection).free)
        heartbeat.check()
        assert lease.evict(database, lease.read(connection), by="second", connect_seconds=5)
        until(lambda: heartbeat.lost is not None)
        with pytest.raises(FencedError) as caught:
            heartbeat.check()
    assert "second" in caught.value.detail
    assert len(trouble) == 1


def until(found: Callable[[], bool], seconds: float = 30) -> None:
    deadline = Deadline(seconds)
    while not found():
        assert not deadline.expired, "waited in vain"
        threading.Event().wait(0.02)


def test_a_holder_that_stands_still_inside_a_merge_is_cut_off(
    database: PostgresEndpoint, connection: Connection
) -> None:
    """The database ends its transaction once it has been idle for as long as the lease lasts."""
    epoch = lease.acquire(connection, holder("first"), 1)
    options = {"idle_in_transaction_session_timeout": "1000"}
    with connect(database, application="merge", timeout_seconds=5, options=options) as merging:
        lease.beat(merging, epoch)
        assert lease.evict(database, lease.read(connection), by="second", connect_seconds=5)
        with pytest.raises(psycopg.Error):
            merging.execute("SELECT 1")
