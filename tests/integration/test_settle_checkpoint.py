"""A rebuild's checkpoint is put in place exactly if the ledger is the rebuild's; kills are mended."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudctl.config.endpoints import Endpoints, PostgresEndpoint
from fraudctl.config.paths import StackPaths
from fraudctl.database.migrations import migrate
from fraudctl.operations.detect.promote_checkpoint import awaits_its_place, settle_checkpoint
from fraudctl.progress import silent
from tests.support.databases import open_session, temporary_database

pytestmark = pytest.mark.services

OLD = "00000000-0000-0000-0000-000000000001"
NEW = "00000000-0000-0000-0000-000000000002"


@pytest.fixture
def database(endpoints: Endpoints) -> Iterator[PostgresEndpoint]:
    with temporary_database(endpoints.postgres) as endpoint:
        migrate(endpoint, connect_seconds=5, lock_wait_seconds=10)
        yield endpoint


def checkpoint(paths: StackPaths, name: str, text: str) -> None:
    folder = paths.data / name
    folder.mkdir(parents=True)
    (folder / "metadata").write_text(text, encoding="utf-8")


def of(query: str) -> str:
    return json.dumps({"id": query})


def ledger_is(database: PostgresEndpoint, query: str) -> None:
    with open_session(database) as session:
        session.execute("DELETE FROM fraud.batch_ledger")
        session.execute(
            "INSERT INTO fraud.batch_ledger VALUES (%s, 0, 1, 'c', 't', 'i', '{}', '{}', now(), 0, '', '')",
            (query,),
        )


def settle(paths: StackPaths, database: PostgresEndpoint) -> bool:
    return settle_checkpoint(paths, database, connect_seconds=5, observe=silent)


def held(paths: StackPaths) -> dict[str, str]:
    return {folder.name: (folder / "metadata").read_text(encoding="utf-8") for folder in paths.data.iterdir()}


@pytest.mark.parametrize("live", [of(OLD), "cut sho", None])
def test_the_ledger_decides(database: PostgresEndpoint, tmp_path: Path, live: str | None) -> None:
    paths = StackPaths(tmp_path, "default", tmp_path)
    checkpoint(paths, "checkpoint.replay", of(NEW))
    if live is not None:  # None: killed between the two moves, or lost before the rebuild
        checkpoint(paths, "checkpoint", live)
        checkpoint(paths, "checkpoint.before-rebuild-1", "of an earlier rebuild")
    untouched = held(paths)

    assert not settle(paths, database)  # nothing has landed at all
    ledger_is(database, OLD)
    assert not settle(paths, database)  # killed before the rows were in place
    assert not awaits_its_place(paths, database, connect_seconds=5)
    assert held(paths) == untouched

    ledger_is(database, NEW)
    assert awaits_its_place(paths, database, connect_seconds=5)  # as `doctor` asks: nothing is moved
    assert held(paths) == untouched
    assert settle(paths, database)
    kept = (
        {}
        if live is None
        else {
            "checkpoint.before-rebuild-1": "of an earlier rebuild",
            "checkpoint.before-rebuild-2": live,
        }
    )
    assert held(paths) == {"checkpoint": of(NEW), **kept}
    assert not awaits_its_place(paths, database, connect_seconds=5)
    assert not settle(paths, database)


def test_what_is_no_checkpoint_of_a_rebuild_stays_where_it_is(
    database: PostgresEndpoint, tmp_path: Path
) -> None:
    paths = StackPaths(tmp_path, "default", tmp_path)
    ledger_is(database, NEW)
    for text in ("", "{}", "[1]"):
        checkpoint(paths, "checkpoint.replay", text)
        assert not settle(paths, database)
        (paths.data / "checkpoint.replay" / "metadata").unlink()
        (paths.data / "checkpoint.replay").rmdir()
