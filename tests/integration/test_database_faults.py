"""Landing and heartbeat through a proxy that cuts connections at COMMIT or swallows everything."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Thread

import psycopg
import pytest

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.load import load
from fraudctl.database import lease
from fraudctl.database.connection import SilentError, asking, connect
from fraudctl.database.landing import Landed, Landing, MicroBatch, Source, WindowRow
from fraudctl.database.lease import Heartbeat, Holder
from fraudctl.database.migrations import migrate
from fraudctl.errors import UnreachableError
from tests.support.databases import open_session, temporary_database
from tests.support.scenario import wait_for
from tests.support.tcp_proxy import Cut, TcpProxy

pytestmark = pytest.mark.services

QUERY = "11111111-2222-4333-8444-555555555555"
MINUTE = 60_000_000
Writer = Callable[..., Landing]


@pytest.fixture
def database(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        yield endpoint


@pytest.fixture
def proxy(database: PostgresEndpoint) -> Iterator[TcpProxy]:
    with TcpProxy(database.host, database.port) as running:
        yield running


@pytest.fixture
def through(database: PostgresEndpoint, proxy: TcpProxy) -> PostgresEndpoint:
    return replace(database, port=proxy.port)


@pytest.fixture
def retries() -> list[str]:
    return []


@pytest.fixture
def writer(through: PostgresEndpoint, retries: list[str]) -> Iterator[Writer]:
    """Makes a writer behind the proxy that soon loses its patience, and holds the lease."""
    made: list[Landing] = []

    def make(**flags: float) -> Landing:
        flags = {"statement_timeout_seconds": 1.0, "lease_seconds": 2.0, **flags}
        settings = load(flags={f"landing.{name}": value for name, value in flags.items()}).settings
        made.append(
            Landing(
                through,
                Source("cluster", "transactions", "topic-id", "fingerprint"),
                settings.landing,
                holder=Holder("test", ""),
                connect_seconds=1,
                stopping=lambda: False,
                on_retry=retries.append,
            )
        )
        made[-1].acquire()
        return made[-1]

    yield make
    for landing in made:
        landing.close()


def batch(batch_id: int) -> MicroBatch:
    row = WindowRow(0, 10 * MINUTE, "Food", batch_id + 1, 0, batch_id + 1, 0)
    span = {0: (batch_id, batch_id + 1)}
    return MicroBatch(QUERY, batch_id, span, {0: {"admitted": 1}}, 0, (row,), ())


def landed(database: PostgresEndpoint) -> tuple[list[tuple[int, int]], int]:
    """The ledger's batches with their replays, and the count of the one window."""
    with open_session(database) as session:
        batches = session.execute("SELECT batch_id, replays FROM fraud.batch_ledger ORDER BY 1").fetchall()
        count = session.execute("SELECT count FROM fraud.fraud_metrics").fetchone()
    return batches, count[0] if count else 0


@pytest.mark.parametrize("where", Cut)
def test_a_connection_that_is_cut_at_commit_lands_the_batch_once(
    database: PostgresEndpoint, proxy: TcpProxy, writer: Writer, retries: list[str], where: Cut
) -> None:
    """Both outcomes: without its COMMIT the batch is landed by the second attempt, else only found by it."""
    landing = writer()
    landing.land(batch(0))
    seen: list[int] = []
    cut = proxy.cut_at_commit(where, lambda: seen.append(len(landed(database)[0])))
    result = landing.land(batch(1))
    assert cut.is_set()
    assert len(retries) == 1
    assert seen == [2 if where is Cut.AFTER else 1]
    committed = where is not Cut.BEFORE
    assert result.replayed is committed
    assert landed(database) == ([(0, 0), (1, int(committed))], 2)


def test_a_batch_outlives_a_database_that_falls_silent(
    database: PostgresEndpoint, proxy: TcpProxy, writer: Writer, retries: list[str]
) -> None:
    """The open connection is given up after its patience, new ones after their time to connect."""
    landing = writer()
    landing.land(batch(0))
    proxy.fall_silent()
    results: list[Landed] = []
    thread = Thread(target=lambda: results.append(landing.land(batch(1))))
    thread.start()
    wait_for("two attempts in vain", lambda: len(retries) >= 2)
    assert "no answer for 2 s" in retries[0]
    assert landed(database) == ([(0, 0)], 1)
    proxy.speak_again()
    thread.join(30)
    assert [result.replayed for result in results] == [False]
    assert landed(database) == ([(0, 0), (1, 0)], 2)


def test_a_database_that_stays_silent_is_given_up(proxy: TcpProxy, writer: Writer) -> None:
    landing = writer(retry_seconds=3.0)
    landing.land(batch(0))
    proxy.fall_silent()
    with pytest.raises(UnreachableError) as caught:
        landing.land(batch(1))
    assert "does not answer" in caught.value.message


def test_a_silent_connection_is_closed_and_a_slow_statement_is_not(
    proxy: TcpProxy, through: PostgresEndpoint
) -> None:
    with connect(through, application="test", timeout_seconds=1, statement_seconds=2) as connection:
        connection.execute("SELECT pg_sleep(1.8)")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(60)")
        connection.rollback()
        proxy.fall_silent()
        with pytest.raises(SilentError, match="no answer for 3 s"):
            connection.execute("SELECT 1")
        assert connection.closed


def test_the_heartbeat_beats_again_after_a_silence(
    database: PostgresEndpoint, proxy: TcpProxy, through: PostgresEndpoint, writer: Writer
) -> None:
    epoch = writer().epoch
    trouble: list[str] = []
    with Heartbeat(
        through, epoch, lease_seconds=2, connect_seconds=1, on_trouble=trouble.append
    ) as heartbeat:
        with open_session(database) as session:
            session.execute("UPDATE fraud.pipeline_lease SET heartbeat_at = now() - interval '1 hour'")
        wait_for("a first beat", lambda: not lease.look(database, connect_seconds=5).free)
        proxy.fall_silent()
        wait_for("the lease to run out", lambda: lease.look(database, connect_seconds=5).free)
        wait_for("a beat that failed", lambda: trouble)
        proxy.speak_again()
        wait_for("the lease to be held again", lambda: not lease.look(database, connect_seconds=5).free)
        heartbeat.check()


def test_whoever_looks_at_the_lease_is_not_kept_waiting_either(
    proxy: TcpProxy, through: PostgresEndpoint
) -> None:
    with (
        pytest.raises(UnreachableError, match="failed while it was asked") as caught,
        asking(through, application="test", timeout_seconds=1) as connection,
    ):
        proxy.fall_silent()
        lease.read(connection)
    assert "no answer for 2 s" in caught.value.detail
