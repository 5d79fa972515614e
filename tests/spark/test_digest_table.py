"""The state of deduplication by its parts: its table against a dict, its files against damage."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

Key = tuple[int, int, int, int]
ABSENT = -(2**63)
MINUTE_US = 60_000_000


# --- The table ---------------------------------------------------------------------------------------------


class Table:
    """The JVM's table and a dict that has the same content."""

    def __init__(self, spark: SparkSession) -> None:
        jvm: Any = spark._jvm
        self.held = jvm.fraudctl.DigestTable()
        self.model: dict[Key, int] = {}

    def put(self, key: Key, expiry_us: int) -> None:
        self.held.put(*key, expiry_us)
        self.model[key] = expiry_us

    def remove(self, key: Key) -> None:
        assert self.held.remove(*key) == (self.model.pop(key, None) is not None)

    def remove_through(self, instant_us: int) -> None:
        self.held.removeThrough(instant_us)
        self.model = {key: expiry for key, expiry in self.model.items() if expiry > instant_us}

    def walk(self, instant_us: int) -> None:
        """Remove what has expired as Spark does: all of it is seen, and of the rest one minute at most."""
        walk, seen = self.held.walk(), []
        while walk.next():
            key = (walk.part(0), walk.part(1), walk.part(2), walk.part(3))
            expiry_us = walk.expiryUs()
            assert self.model[key] == expiry_us
            seen.append((key, expiry_us))
            if expiry_us <= instant_us:
                self.remove(key)
        assert len(set(seen)) == len(seen), "an entry was seen twice"
        assert not any(expiry_us <= instant_us for expiry_us in self.model.values())
        assert len({expiry_us // MINUTE_US for _, expiry_us in seen if expiry_us > instant_us}) <= 1
        minutes = [expiry_us // MINUTE_US for _, expiry_us in seen]
        assert minutes == sorted(minutes)

    def agree(self, never: Sequence[Key]) -> None:
        """Every key of the dict is in the table, and nothing else is."""
        assert self.held.size() == len(self.model)
        for key, expiry_us in self.model.items():
            assert self.held.get(*key) == expiry_us
        for key in never:
            assert self.held.get(*key) == self.model.get(key, ABSENT)


def colliding_keys(draw: random.Random, number: int) -> list[Key]:
    """Keys of which many have one first number, or first numbers that lead to one place of the index."""
    firsts = [0, 1, -1, 2**32, (1 << 32) | 1, 1024, 1024 << 10, 2**63 - 1, -(2**63), 1023, 2**40 + 2**8]
    keys: set[Key] = set()
    while len(keys) < number:
        first = draw.choice(firsts) if draw.random() < 0.4 else draw.getrandbits(64) - 2**63
        keys.add((first, draw.choice([0, 1, first]), draw.choice([0, -1]), draw.randint(0, number)))
    return sorted(keys)


@pytest.mark.parametrize("seed", range(2))
def test_the_table_holds_what_a_dict_holds(spark: SparkSession, seed: int) -> None:
    draw = random.Random(seed)
    table, keys = Table(spark), colliding_keys(draw, 1_500)
    now_us = 29_000_000 * MINUTE_US
    for _ in range(6_000):
        kind = draw.random()
        if kind < 0.62:
            spread = draw.choice([1, MINUTE_US, 90 * MINUTE_US])
            table.put(draw.choice(keys), now_us + draw.randint(1, spread))
        elif kind < 0.8:
            key = draw.choice(keys)
            assert table.held.get(*key) == table.model.get(key, ABSENT)
        elif kind < 0.995:
            table.remove(draw.choice(keys))
        else:
            now_us += draw.choice([0, 1, 1_000_000, MINUTE_US, 5 * MINUTE_US])
            (table.walk if draw.random() < 0.5 else table.remove_through)(now_us)
            assert table.held.size() == len(table.model)
    table.agree(keys)
    assert len(table.model) > 300
    table.remove_through(now_us + 91 * MINUTE_US)
    table.agree(keys[:50])
    assert not table.model


def test_a_table_that_was_emptied_keeps_no_entries_in_memory(spark: SparkSession) -> None:
    table, draw = Table(spark), random.Random(5)
    for number in range(2_000):
        table.put((draw.getrandbits(63), 0, 0, number), number * MINUTE_US)
    filled = table.held.memoryBytes()
    table.walk(1_000 * MINUTE_US)
    assert table.held.size() == 999
    half = table.held.memoryBytes()
    table.remove_through(2_000 * MINUTE_US)
    assert table.held.memoryBytes() < half < filled
    # What is left is the index, which does not shrink: 8 bytes for each place of it.
    assert table.held.memoryBytes() <= 8 * 4096
    # Minutes that come again find a place.
    for number in range(500):
        table.put((draw.getrandbits(63), 0, 0, number), number * MINUTE_US)
    table.agree([(1, 1, 1, 1)])


# --- The files ---------------------------------------------------------------------------------------------


class Entries:
    """Called by the JVM with each entry of a file."""

    def __init__(self) -> None:
        self.found: list[tuple[Key, int]] = []

    def apply(self, a: int, b: int, c: int, d: int, expiry_us: int) -> None:
        self.found.append(((a, b, c, d), expiry_us))

    class Java:
        implements = ("org.apache.spark.sql.fraudctl.StateFiles$Take",)


@dataclass
class Files:
    """The files of one partition's state in a folder of their own."""

    spark: SparkSession
    folder: Path
    jvm: Any = field(init=False)
    files: Any = field(init=False)

    def __post_init__(self) -> None:
        gateway: Any = self.spark._sc._gateway
        ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
        self.jvm = self.spark._jvm
        package = self.jvm.org.apache.spark.sql.fraudctl
        self.writer = getattr(package, "StateFiles$Writer")
        path = self.jvm.org.apache.hadoop.fs.Path(self.folder.as_uri())
        self.files = package.StateFiles(path, self.spark._jsc.hadoopConfiguration())

    def write(self, version: int, entries: Sequence[tuple[Key, int]], through_us: int = ABSENT) -> None:
        writer = self.writer()
        for key, expiry_us in entries:
            writer.add(*key, expiry_us)
        self.files.write(self.files.delta(version), writer, through_us)

    def read(self, path: Any) -> tuple[list[tuple[Key, int]], int]:
        entries = Entries()
        through_us = self.files.read(path, entries)
        return entries.found, through_us

    def state(self, version: int) -> dict[Key, int]:
        """Put a version together as DigestStateStoreProvider does."""
        parts, held, removed_us = self.files.upTo(version), dict[Key, int](), ABSENT
        for number in range(parts.size()):
            entries, through_us = self.read(parts.apply(number))
            held |= dict(entries)
            removed_us = max(removed_us, through_us)
        return {key: expiry_us for key, expiry_us in held.items() if expiry_us > removed_us}

    def names(self, kind: str) -> list[int]:
        return sorted(int(file.stem) for file in self.folder.glob(f"*.{kind}"))


@pytest.fixture
def files(spark: SparkSession, tmp_path: Path) -> Files:
    return Files(spark, tmp_path / "state")


def some_entries(draw: random.Random, number: int, from_us: int = 0) -> list[tuple[Key, int]]:
    def part() -> int:
        return draw.getrandbits(64) - 2**63

    return [
        ((part(), part(), part(), part()), from_us + draw.randint(1, 10 * MINUTE_US)) for _ in range(number)
    ]


@pytest.mark.parametrize("number", [0, 1, 511, 512, 513, 1_500])
def test_a_file_is_read_as_it_was_written(files: Files, number: int) -> None:
    entries = some_entries(random.Random(number), number)
    files.write(1, entries, through_us=77)
    assert files.read(files.files.delta(1)) == (entries, 77)
    assert (files.folder / "1.delta").stat().st_size == 4 + 8 + 4 + 40 * number + 8


@pytest.mark.parametrize("with_checksum_file", [True, False], ids=["hadoop's checksum", "its own checksum"])
def test_a_damaged_file_is_refused_wherever_the_damage_lies(files: Files, with_checksum_file: bool) -> None:
    entries = some_entries(random.Random(3), 1)
    files.write(1, entries, through_us=MINUTE_US)
    file = files.folder / "1.delta"
    if not with_checksum_file:
        (files.folder / ".1.delta.crc").unlink()
    whole = file.read_bytes()
    draw = random.Random(4)
    for place in range(0, len(whole), 16 if with_checksum_file else 1):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << draw.randint(0, 7)
        for damaged in (bytes(flipped), whole[:place]):
            file.write_bytes(damaged)
            with pytest.raises(Exception, match=r"CANNOT_READ_DELTA: .*/1.delta is damaged"):
                files.files.read(files.files.delta(1), Entries())
    file.write_bytes(whole)
    assert files.read(files.files.delta(1)) == (entries, MINUTE_US)


def test_a_missing_file_is_refused(files: Files) -> None:
    for version in range(1, 5):
        files.write(version, some_entries(random.Random(version), 2))
    (files.folder / "3.delta").unlink()
    assert files.state(2)
    for version in (3, 4, 5):
        with pytest.raises(Exception, match=r"CANNOT_READ_DELTA: .*/\d.delta does not exist"):
            files.files.upTo(version)


def test_no_version_that_is_kept_changes_when_files_are_put_together_and_removed(files: Files) -> None:
    draw = random.Random(11)
    now_us, through_us, kept = 0, ABSENT, 6
    model: dict[Key, int] = {}
    versions: dict[int, dict[Key, int]] = {0: {}}
    snapshots = 0
    for version in range(1, 61):
        entries = some_entries(draw, draw.choice([0, 1, 5, 20]), from_us=max(through_us, 0))
        if model and draw.random() < 0.3:  # an entry that gets another instant
            entries.append((draw.choice(sorted(model)), max(through_us, 0) + draw.randint(1, 10 * MINUTE_US)))
        model |= dict(entries)
        now_us += draw.choice([0, MINUTE_US // 2, MINUTE_US, 3 * MINUTE_US])
        through_us = max([through_us, *(expiry for expiry in model.values() if expiry <= now_us)])
        model = {key: expiry_us for key, expiry_us in model.items() if expiry_us > now_us}
        files.write(version, entries, through_us)
        versions[version] = dict(model)
        if files.files.snapshotIsDue(version):
            assert version - max(files.names("snapshot"), default=0) >= 10
            files.files.writeSnapshot(version)
            snapshots += 1
        files.files.removeOlderThan(version - kept)
        if version % 5 == 0:
            for one in range(max(1, version - kept), version + 1):
                assert files.state(one) == versions[one]
    assert snapshots >= 3
    assert len(files.names("delta")) < 40
    assert len(files.names("snapshot")) < snapshots
