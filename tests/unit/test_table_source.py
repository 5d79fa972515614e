"""Resuming a table: rows are recognised by order and content, and each is sent once."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudctl.config.load import load
from fraudctl.errors import DataError, RefusedError
from fraudctl.operations.produce.file_progress import FileProgress, SentRow
from fraudctl.operations.produce.table_rows import TableSource
from fraudctl.simulator.mapper import Mapper
from fraudctl.simulator.mapping import parse_mapping
from fraudctl.tables.layout import Layout
from fraudctl.tables.table import open_table
from tests.support.foreign_tables import generic, rows, text_of, write_csv, write_parquet

EVENTS = load(profile="local").settings.events
MAPPING = parse_mapping(generic())
PARTITIONS = 3
Table = list[dict[str, Any]]


def source_of(file: Path) -> TableSource:
    """Open a table as a run would."""
    table = open_table(file, Layout())
    return TableSource(table, MAPPING.needed, Mapper(MAPPING, EVENTS, "run", b"k" * 32), label_column="fraud")


@dataclass
class Log:
    """A topic in memory: what was handed over arrives per partition, in order, until the run is killed."""

    partitions: list[list[tuple[int, SentRow]]] = field(
        default_factory=lambda: [[] for _ in range(PARTITIONS)]
    )
    progress: FileProgress | None = None

    def save(self, source: TableSource) -> None:
        """Save how far a run came, as it does once everything has been acknowledged."""
        offsets = {number: len(records) for number, records in enumerate(self.partitions)}
        self.progress = FileProgress(
            run="run",
            file="",
            first="",
            mapping="",
            key="",
            row=source.next_row,
            digest=source.digest,
            offsets=offsets,
            left_out=dict(source.left_out),
            others=source.others_digest,
        )

    def beyond(self) -> dict[int, SentRow]:
        """Return the rows beyond the last save."""
        assert self.progress
        return {
            number: sent
            for partition, records in enumerate(self.partitions)
            for number, sent in records[self.progress.offsets[partition] :]
        }

    def sent(self) -> Counter[int]:
        """Return how often each row was sent."""
        return Counter(number for records in self.partitions for number, _ in records)


def run(
    log: Log, file: Path, *, die_after: int | None = None, save_every: int = 10, lost: int = 0
) -> TableSource:
    """Send a table from where the log's progress says; dying loses the last records of a partition."""
    source = source_of(file)
    if log.progress:
        source.check(log.progress)
        source.resume(log.progress, log.beyond())
    else:
        log.save(source)
    for number, (row, mapped) in enumerate(source):
        if number == die_after:
            # The last records of one partition were on their way, and had not been acknowledged.
            partition = random.Random(number).randrange(PARTITIONS)
            assert log.progress
            kept = max(log.progress.offsets[partition], len(log.partitions[partition]) - lost)
            del log.partitions[partition][kept:]
            return source
        sent = SentRow(mapped.event, f"at {number}")
        log.partitions[hash(mapped.event.card_id) % PARTITIONS].append((row.number, sent))
        source.done(row, mapped)
        if number % save_every == save_every - 1:
            log.save(source)
    log.save(source)
    return source


@pytest.mark.parametrize(
    "change",
    [
        {"id": lambda n: f"order-{n % 10}"},
        {"id": lambda n: "y" * 64 + str(n)},
        {"id": "same", "card": "c", "shop": "s", "ts": "2024-05-01", "amount": "1", "fraud": "0"},
        {"id": lambda n: f"t {n}" if n % 2 else f"t-{n - 1}"},
        {"amount": lambda n: "x" if n % 3 == 0 else "1"},
    ],
)
@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_a_run_that_was_killed_goes_on_with_each_row_once(
    tmp_path: Path, change: dict[str, Any], write: Callable[[Path, Table], Path]
) -> None:
    table = rows(200, **change)
    file = write(tmp_path / "t", table)
    fit = {number for number, row in enumerate(table) if row["amount"] != "x"}
    for die_after in (0, 1, 9, 10, 57):
        log = Log()
        run(log, file, die_after=die_after, lost=3)
        source = run(log, file)
        assert log.sent() == Counter(fit)
        assert source.next_row == 200


@pytest.mark.parametrize("die_after", [5, 37, None])
def test_a_file_that_grew_goes_on_with_the_rows_that_are_new(tmp_path: Path, die_after: int | None) -> None:
    file = write_csv(tmp_path / "t.csv", rows(100))
    log = Log()
    run(log, file, die_after=die_after)
    write_csv(file, rows(120))
    run(log, file)
    assert log.sent() == Counter(range(120))


def _swapped(table: Table) -> Table:
    return [table[1], table[0], *table[2:]]


@pytest.mark.parametrize(
    "change",
    [
        _swapped,
        lambda table: table[1:],
        lambda table: [*table[:20], {**table[20], "amount": "9999"}, *table[21:]],
        lambda table: [*table[:30], *table[31:]],
        lambda table: table[:25],
        lambda table: list(reversed(table)),
    ],
)
def test_a_file_that_was_changed_where_it_was_read_is_refused(
    tmp_path: Path, change: Callable[[Table], Table]
) -> None:
    file = write_csv(tmp_path / "t.csv", rows(100))
    log = Log()
    run(log, file, die_after=47)
    before = log.sent()
    write_csv(file, change(rows(100)))
    with pytest.raises(RefusedError):
        run(log, file)
    assert log.sent() == before


@pytest.mark.parametrize("number", [40, 43, 46])
def test_a_row_that_is_in_the_log_and_was_changed_is_refused_by_its_line(tmp_path: Path, number: int) -> None:
    file = write_csv(tmp_path / "t.csv", rows(100))
    log = Log()
    run(log, file, die_after=47)
    for change in ({"amount": "9999"}, {"amount": "x"}):
        table = rows(100)
        table[number] |= change
        write_csv(file, table)
        with pytest.raises(RefusedError) as caught:
            run(log, file)
        assert f"row {number + 1} (line {number + 2})" in caught.value.detail
    write_csv(file, rows(number))
    with pytest.raises(RefusedError, match="not the one that was begun"):
        run(log, file)


@pytest.mark.parametrize(
    "again",
    [
        lambda file: file.write_bytes(file.read_text().encode("utf-16")),
        lambda file: file.write_text(file.read_text().replace(",", ";")),
        lambda file: file.write_text(file.read_text().replace("\n", "\r\n") + "\r\n"),
    ],
)
def test_a_file_that_is_only_written_differently_goes_on(
    tmp_path: Path, again: Callable[[Path], Any]
) -> None:
    file = write_csv(tmp_path / "t.csv", rows(100))
    log = Log()
    run(log, file, die_after=47)
    again(file)
    run(log, file)
    assert log.sent() == Counter(range(100))


@pytest.mark.parametrize("number", [20, 30, 46])
def test_a_corrected_row_that_was_left_out_is_refused_by_its_line(tmp_path: Path, number: int) -> None:
    table = rows(100, amount=lambda n: "x" if n in (20, 30, 46) else "1")
    file = write_csv(tmp_path / "t.csv", table)
    log = Log()
    run(log, file)
    table[number]["amount"] = "1"
    write_csv(file, table)
    with pytest.raises(RefusedError) as caught:
        run(log, file)
    assert caught.value.message.startswith(f"row {number + 1} (line {number + 2}) has changed")
    assert "had been left out, and was never sent" in caught.value.message
    table[number]["amount"] = "x"
    write_csv(file, [*table, rows(101)[100]])
    run(log, file)
    assert log.sent() == Counter(set(range(101)) - {20, 30, 46})


def test_a_corrected_row_beside_a_sent_one_that_changed_is_no_excuse(tmp_path: Path) -> None:
    table = rows(100, amount=lambda n: "x" if n == 20 else "1")
    file = write_csv(tmp_path / "t.csv", table)
    log = Log()
    run(log, file)
    for number in (20, 21):
        table[number]["amount"] = "2"
    write_csv(file, table)
    with pytest.raises(RefusedError, match="rows that were sent have changed"):
        run(log, file)


def test_the_digests_of_left_out_rows_survive_several_runs(tmp_path: Path) -> None:
    table = rows(90, amount=lambda n: "x" if n % 10 == 5 else "1")
    file = tmp_path / "t.csv"
    log = Log()
    for size in (30, 60, 90):
        write_csv(file, table[:size])
        run(log, file, die_after=17)
        run(log, file)
    table[5]["amount"] = "1"
    write_csv(file, table)
    with pytest.raises(RefusedError, match=r"row 6 \(line 7\) has changed"):
        run(log, file)


@pytest.mark.parametrize("die_after", [None, 0, 7, 18])
def test_a_file_whose_last_line_was_half_written_goes_on_with_each_row_once(
    tmp_path: Path, die_after: int | None
) -> None:
    file = tmp_path / "t.csv"
    grown = text_of(rows(25))
    begun = text_of(rows(20)).removesuffix("\n")
    line = begun.splitlines()[-1]
    for cut in range(len(line)):
        half = begun.removesuffix(line) + line[:cut]
        file.write_text(half)
        log = Log()
        run(log, file, die_after=die_after, lost=2)
        source = run(log, file)
        assert source.next_row == (20 if line[:cut].count(",") == line.count(",") else 19)
        before = log.sent()
        file.write_text(grown)
        if source.next_row == 20:
            # All fields are there, so the row was sent: it is never sent again with another label.
            with pytest.raises(RefusedError, match="rows that were sent have changed"):
                run(log, file)
            assert log.sent() == before
        else:
            run(log, file, die_after=3, save_every=2, lost=1)
            run(log, file)
            assert log.sent() == Counter(range(25))


def test_a_last_line_without_an_end_is_taken_or_read_again_once_it_is_corrected(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    table = rows(20, amount=lambda n: "x" if n == 19 else "1")
    file.write_text(text_of(table).removesuffix("\n"))
    log = Log()
    assert run(log, file).next_row == 19
    table[19]["amount"] = "1"
    file.write_text(text_of(table).removesuffix("\n"))
    assert run(log, file).next_row == 20
    assert log.sent() == Counter(range(20))


def test_a_row_with_too_many_fields_is_not_called_unfinished(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text_of(rows(3)) + "a,b,c,d,e,f,g")
    (reason,) = run(Log(), file).counts.reasons
    assert reason.reason == "the row has another number of fields than the header"
    file.write_text(text_of(rows(3)) + "a,b,c")
    (reason,) = run(Log(), file).counts.reasons
    assert "its line has no end" in reason.reason
    assert "--resume" in reason.hint


@pytest.mark.parametrize(("size", "repeats"), [(30, True), (40, True), (29, False)])
def test_a_run_tells_whether_it_repeats_an_earlier_one(tmp_path: Path, size: int, repeats: bool) -> None:
    log = Log()
    file = write_csv(tmp_path / "t.csv", rows(30))
    run(log, file)
    assert log.progress
    for change, expected in (({}, repeats), ({"amount": "5"}, False)):
        source = source_of(write_csv(file, rows(size, **change)))
        source.compare_with(log.progress)
        for row, mapped in source:
            source.done(row, mapped)
        assert source.repeats_earlier == expected


def test_a_mended_file_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(text_of(rows(100)).encode().replace(b"t60,", b"\xff60,"))
    log = Log()
    with pytest.raises(DataError, match="line 62"):
        run(log, file, save_every=7)
    write_csv(file, rows(100))
    run(log, file)
    assert log.sent() == Counter(range(100))


@settings(max_examples=60, deadline=None)
@given(
    cells=st.lists(
        st.tuples(
            st.sampled_from(
                ["a", "b", " b", "b ", "b.", "b-", "y" * 64 + "1", "y" * 64 + "2", "é", "", "1.2E+15"]
            ),
            st.sampled_from(["1", "2.5", "-1", "x", "0"]),
            st.integers(0, 4),
        ),
        min_size=1,
        max_size=60,
    ),
    deaths=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=4),
    save_every=st.integers(1, 12),
)
def test_however_often_a_run_dies_each_row_is_sent_once_and_cards_keep_their_order(
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[tuple[str, str, int]],
    deaths: list[tuple[int, int]],
    save_every: int,
) -> None:
    table = rows(
        len(cells), id=lambda n: cells[n][0], amount=lambda n: cells[n][1], card=lambda n: cells[n][2]
    )
    file = write_csv(tmp_path_factory.mktemp("table") / "t.csv", table)
    log = Log()
    for die_after, lost in deaths:
        run(log, file, die_after=die_after, save_every=save_every, lost=lost)
    run(log, file, save_every=save_every)
    fit = [
        n
        for n, (name, amount, _) in enumerate(cells)
        if name not in ("", "1.2E+15") and amount in ("1", "2.5")
    ]
    assert log.sent() == Counter(fit)
    for records in log.partitions:
        numbers = [number for number, _ in records]
        assert numbers == sorted(numbers)
    ids = {n: msgspec.structs.asdict(sent.event)["transaction_id"] for r in log.partitions for n, sent in r}
    # Two rows have one id only if their texts were the same.
    assert {
        n: cells[n][0] for n in fit if [m for m in fit if ids[m] == ids[n] and cells[m][0] != cells[n][0]]
    } == {}
