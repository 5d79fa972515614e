"""What a look at a checkpoint finds, file by file: what Spark needs must be there, the rest is history."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from fraudctl.checkpoint.inspect_folder import look
from fraudctl.errors import RefusedError

QUERY = "59520f14-67f9-4299-9b65-c04e7cb5d09e"
NEWEST = 12


def write(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines), encoding="utf-8")


def make(root: Path, newest: int = NEWEST, *, committed: bool = True) -> Path:
    """A checkpoint as Spark leaves it after batch `newest`, with a snapshot of the state at version 10."""
    write(root / "metadata", json.dumps({"id": QUERY}))
    write(root / "sources" / "0" / "0", "\0v1", '{"topic":{"0":0}}')
    for batch in range(newest + 1):
        ends = json.dumps({"topic": {"0": batch + 1}})
        write(root / "offsets" / str(batch), "v1", '{"batchWatermarkMs":5,"conf":{}}', ends, ends)
        if batch < newest or committed:
            write(root / "commits" / str(batch), "v1", '{"nextBatchWatermarkMs":6}')
    for operator in ("0", "1"):
        stores = '{"stateStoreInfo":[{"storeName":"default","numPartitions":2}]}'
        write(root / "state" / operator / "_metadata" / "metadata", "v1", stores)
        for partition in ("0", "1"):
            for version in range(1, newest + 1 + committed):
                write(root / "state" / operator / partition / f"{version}.delta", "xx")
            if newest >= 10:
                write(root / "state" / operator / partition / "10.snapshot", "x")
    return root


def test_nothing_yet(tmp_path: Path) -> None:
    found = look(tmp_path / "checkpoint")
    assert (found.query_id, found.last_plan, found.last_commit) == (None, None, None)


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("newest", [0, 1, NEWEST])
def test_what_spark_leaves_is_accepted(tmp_path: Path, newest: int, committed: bool) -> None:
    found = look(make(tmp_path, newest, committed=committed))
    last_commit = newest if committed else newest - 1 if newest else None
    assert (found.query_id, found.last_plan, found.last_commit) == (QUERY, newest, last_commit)
    assert found.plans[newest] == {0: newest + 1}


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_how_often_the_query_reads_the_topic(tmp_path: Path, branches: int) -> None:
    root = make(tmp_path)
    ends = ['{"topic":{"0":13}}'] * branches
    write(root / "offsets" / str(NEWEST), "v1", '{"batchWatermarkMs":5,"conf":{}}', *ends)
    assert look(root).branches == branches


NEEDED = [
    "metadata",
    f"offsets/{NEWEST}",
    f"offsets/{NEWEST - 1}",
    f"state/0/1/{NEWEST + 1}.delta",
    f"state/1/0/{NEWEST - 1}.delta",
    "state/0/_metadata/metadata",
]


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("damage", ["deleted", "emptied", "halved"])
def test_damage_to_what_spark_needs_is_named(tmp_path: Path, name: str, damage: str) -> None:
    file = make(tmp_path) / name
    hurt(file, damage)
    if name.endswith(".delta") and damage == "halved":
        look(tmp_path)  # only Spark can tell, by its checksum
        return
    with pytest.raises(RefusedError) as caught:
        look(tmp_path)
    assert name in caught.value.message
    assert "--rebuild" in caught.value.hint


@pytest.mark.parametrize("damage", ["emptied", "halved"])
def test_a_damaged_newest_commit_is_named(tmp_path: Path, damage: str) -> None:
    hurt(make(tmp_path) / "commits" / str(NEWEST), damage)
    with pytest.raises(RefusedError, match="damaged"):
        look(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["offsets/3", "commits/3", f"commits/{NEWEST}", "sources/0/0", "state/0/0/4.delta", "state/1/1/10.delta"],
)
def test_history_and_the_newest_commit_are_not_needed(tmp_path: Path, name: str) -> None:
    hurt(make(tmp_path) / name, "deleted")
    assert look(tmp_path).last_plan == NEWEST


@pytest.mark.parametrize("folder", ["state", "state/0/1"])
def test_a_missing_store_is_named(tmp_path: Path, folder: str) -> None:
    shutil.rmtree(make(tmp_path) / folder)
    with pytest.raises(RefusedError, match="damaged"):
        look(tmp_path)


def test_without_its_snapshot_the_state_needs_all_changes(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "state/0/0/10.snapshot").unlink()
    look(tmp_path)
    (tmp_path / "state/0/0/1.delta").unlink()
    with pytest.raises(RefusedError, match=r"1\.delta"):
        look(tmp_path)


def make_rocksdb(root: Path) -> Path:
    """The same with state in RocksDB: an archive for each version, and files that the archives share."""
    make(root)
    for delta in [*root.glob("state/*/*/*.delta"), *root.glob("state/*/*/*.snapshot")]:
        delta.unlink()
    for store in root.glob("state/[01]/[01]"):
        for version in range(1, NEWEST + 2):
            metadata = {
                "sstFiles": [{"localSstFileName": "1.sst", "dfsSstFileName": "1-a.sst", "sizeBytes": 4}],
                "logFiles": [{"localLogFileName": "2.log", "dfsLogFileName": "2-b.log", "sizeBytes": 2}],
                "numKeys": 1,
            }
            with zipfile.ZipFile(store / f"{version}.zip", "w") as archive:
                archive.writestr("metadata", f"v1\n{json.dumps(metadata)}")
                archive.writestr("CURRENT", "MANIFEST-000005\n")
        write(store / "SSTs" / "1-a.sst", "four")
        write(store / "logs" / "2-b.log", "xx")
    return root


def test_state_in_rocksdb_is_accepted(tmp_path: Path) -> None:
    assert look(make_rocksdb(tmp_path)).last_plan == NEWEST


@pytest.mark.parametrize(
    "name", [f"state/0/1/{NEWEST + 1}.zip", "state/1/0/SSTs/1-a.sst", "state/1/1/logs/2-b.log"]
)
@pytest.mark.parametrize("damage", ["deleted", "emptied", "halved"])
def test_damage_to_state_in_rocksdb_is_named(tmp_path: Path, name: str, damage: str) -> None:
    hurt(make_rocksdb(tmp_path) / name, damage)
    with pytest.raises(RefusedError) as caught:
        look(tmp_path)
    assert name in caught.value.message
    assert "--rebuild" in caught.value.hint


def test_an_older_archive_of_rocksdb_is_history(tmp_path: Path) -> None:
    hurt(make_rocksdb(tmp_path) / "state" / "0" / "1" / f"{NEWEST - 1}.zip", "deleted")
    assert look(tmp_path).last_plan == NEWEST


def hurt(file: Path, damage: str) -> None:
    content = file.read_bytes()
    file.unlink()
    if damage != "deleted":
        file.write_bytes(b"" if damage == "emptied" else content[: len(content) // 2])
