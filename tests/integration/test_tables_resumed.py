"""Random tables, killed at random moments and resumed: each row is in the log once, in order, or left out."""

import csv
import json
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudctl.clock import Deadline
from tests.integration.test_produce import SECONDS, Cli, cli
from tests.integration.test_produce_file import held, sent
from tests.support import foreign_tables

__all__ = ["cli", "sent"]
pytestmark = pytest.mark.services
DEFECTS: tuple[dict[str, str], ...] = ({"amount": "ten"}, {"amount": "-3"}, {"card": ""}, {"ts": "later"})
SPECIAL = ("Café", 'a "quoted" shop', "a,b;c", "two\nlines", "tab\there")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")


@pytest.fixture
def numbers() -> Iterator[int]:
    """Numbers of the drawn tables: their ids differ, as all of them go to one topic."""
    return count()


def drawn_rows(prefix: str, size: int, defects: dict[int, int], repeated: bool) -> list[dict[str, Any]]:
    """Return rows whose amount tells their number; some have a defect, and ids may repeat."""
    table = foreign_tables.rows(
        size,
        id=lambda number: f"{prefix}-{number % 7 if repeated else number}",
        card=lambda number: f"{prefix}-{number % 5}",
        shop=lambda number: SPECIAL[number % len(SPECIAL)],
        amount=lambda number: f"{number + 1}.00",
    )
    return [row | DEFECTS[defects[number]] if number in defects else row for number, row in enumerate(table)]


def kill_once(command: Cli, records: int, *arguments: str) -> None:
    """Kill a run as soon as it has sent so many records, or let it end if it has fewer."""
    before = held(command)
    process = command.spawn(*arguments)
    deadline = Deadline(3 * SECONDS)
    while held(command) < before + records and process.poll() is None:
        assert not deadline.expired
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def numbers_by_card(command: Cli, prefix: str) -> dict[str, list[int]]:
    """Return the numbers of a table's rows in the order of the log, card by card."""
    found = defaultdict(list)
    for record in command.log():
        event = json.loads(record.value or b"")
        if event["transaction_id"].startswith(f"{prefix}-"):
            found[event["card_id"]].append(event["amount_minor"] // 100 - 1)
    return found


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    size=st.integers(30, 300),
    defects=st.dictionaries(st.integers(0, 299), st.integers(0, len(DEFECTS) - 1), max_size=20),
    repeated=st.booleans(),
    encoding=st.sampled_from(ENCODINGS),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    moments=st.lists(st.integers(1, 120), min_size=1, max_size=2),
)
def test_each_row_is_in_the_log_once_and_in_its_order_or_is_left_out(
    sent: Cli,
    tmp_path: Path,
    numbers: Iterator[int],
    size: int,
    defects: dict[int, int],
    repeated: bool,
    encoding: str,
    delimiter: str,
    quoting: int,
    moments: list[int],
) -> None:
    prefix = f"t{next(numbers)}"
    table = drawn_rows(prefix, size, defects, repeated)
    file = tmp_path / f"{prefix}.csv"
    foreign_tables.write_csv(file, table, encoding, delimiter=delimiter, quoting=quoting)
    document = foreign_tables.generic(card_id="card")
    mapping = foreign_tables.write_mapping(tmp_path / "own.yaml", document)
    common = ["--from-file", str(file), "--mapping", mapping, "--allow-rejected", "100%"]
    common += ["--encoding", encoding] if encoding == "cp1252" else []

    for turn, records in enumerate(moments):
        kill_once(sent, records, *common, "--rate", "200", *(["--resume"] if turn else []))
    result = sent.result(*common, "--rate", "max", "--resume")

    assert result["next_row"] == size
    wanted = defaultdict(list)
    for number in range(size):
        if number not in defects:
            wanted[f"{prefix}-{number % 5}"].append(number)
    assert numbers_by_card(sent, prefix) == wanted
    left_out = sum(reason["count"] for reason in result["left_out"])
    assert result["rows_read"] == result["sent"] + result["already_in_log"] + left_out


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    size=st.integers(30, 150),
    more=st.integers(1, 60),
    fields=st.integers(1, 3),
    records=st.one_of(st.none(), st.integers(1, 150)),
)
def test_a_file_that_grew_behind_a_half_written_line_is_sent_once(
    sent: Cli,
    tmp_path: Path,
    numbers: Iterator[int],
    size: int,
    more: int,
    fields: int,
    records: int | None,
) -> None:
    prefix = f"g{next(numbers)}"
    table = drawn_rows(prefix, size + more, {}, repeated=False)
    half = ",".join(list(table[size - 1].values())[:fields])
    file = tmp_path / f"{prefix}.csv"
    file.write_text(foreign_tables.text_of(table[: size - 1]) + half)
    mapping = foreign_tables.write_mapping(tmp_path / "own.yaml", foreign_tables.generic(card_id="card"))
    common = ["--from-file", str(file), "--mapping", mapping, "--allow-rejected", "100%"]

    if records is None:
        assert sent.result(*common, "--rate", "max")["next_row"] == size - 1
    else:
        kill_once(sent, records, *common, "--rate", "200")
    foreign_tables.write_csv(file, table)
    kill_once(sent, 1, *common, "--rate", "200", "--resume")
    result = sent.result(*common, "--rate", "max", "--resume")

    assert result["next_row"] == size + more
    wanted = defaultdict(list)
    for number in range(size + more):
        wanted[f"{prefix}-{number % 5}"].append(number)
    assert numbers_by_card(sent, prefix) == wanted
