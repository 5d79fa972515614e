"""fraudctl produce --from-file against a real broker: every row once, also when a run broke off."""

import csv
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from confluent_kafka.admin import AdminClient
from fraudctl.operations.table_rows import fingerprint, rows

from fraudctl.broker.topics import end_offsets
from fraudctl.clock import Deadline
from fraudctl.errors import DataError, UsageError
from tests.integration.test_produce import SECONDS, Cli, cli

__all__ = ["cli"]
COLUMNS = ("trans_num", "trans_date_trans_time", "cc_num", "merchant", "category", "amt", "is_fraud")
NEEDED = {"trans_num", "amt"}


def table(count: int) -> list[dict[str, str]]:
    """Rows as Sparkov's files have them, one a second; every fiftieth is fraud."""
    return [
        {
            "trans_num": f"t{number:06d}",
            "trans_date_trans_time": str(datetime(2019, 1, 1) + timedelta(seconds=number)),
            "cc_num": str(4_000_000_000_000_000 + number % 97),
            "merchant": f"fraud_Shop {number % 13}",
            "category": "grocery_pos" if number % 2 else "misc_net",
            "amt": f"{number % 900 + 1}.25",
            "is_fraud": "1" if number % 50 == 0 else "0",
        }
        for number in range(count)
    ]


def write_csv(file: Path, count: int) -> Path:
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(table(count))
    return file


@pytest.fixture
def sent(cli: Cli) -> Iterator[Cli]:
    """The command with a topic for labels that goes away with the other one."""
    labels = f"{cli.topic}.labels"
    cli.environment["FRAUDCTL_KAFKA__LABELS_TOPIC"] = labels
    yield cli
    admin = AdminClient({"bootstrap.servers": cli.servers})
    if labels in admin.list_topics(timeout=SECONDS).topics:
        admin.delete_topics([labels])[labels].result(SECONDS)


def ids(command: Cli) -> Counter[str]:
    return Counter(json.loads(record.value or b"")["transaction_id"] for record in command.log())


def held(command: Cli) -> int:
    """How many records the topic has."""
    ends = end_offsets(command.servers, command.topic, timeout_seconds=SECONDS)
    return sum(end for _, end in ends.values())


def whole(count: int) -> Counter[str]:
    return Counter(row["trans_num"] for row in table(count))


@pytest.mark.services
@pytest.mark.parametrize("rate", ["3000", "max"])
def test_every_row_is_sent_once_stamped_as_it_leaves(sent: Cli, tmp_path: Path, rate: str) -> None:
    file = write_csv(tmp_path / "some.csv", 3_000)
    result = sent.result("--from-file", str(file), "--rate", rate)
    assert (result["sent"], result["acknowledged"], result["ended_by"]) == (3_000, 3_000, "end")
    assert (result["first_row"], result["next_row"]) == (0, 3_000)
    assert result["fraud"] == result["labels_sent"] == 60
    assert ids(sent) == whole(3_000)
    for event in sent.events():
        assert event["event_time"] >= result["anchor"]


@pytest.mark.services
def test_a_run_that_was_stopped_goes_on(sent: Cli, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "some.csv", 3_000)
    first = sent.result("--from-file", str(file), "--rate", "3000", "--count", "1234")
    assert (first["next_row"], first["ended_by"]) == (1_234, "count")
    second = sent.result("--from-file", str(file), "--rate", "3000", "--resume")
    assert (second["first_row"], second["sent"], second["landed"]) == (1_234, 1_766, 0)
    assert ids(sent) == whole(3_000)
    third = sent.result("--from-file", str(file), "--resume")
    assert (third["sent"], third["next_row"]) == (0, 3_000)


@pytest.mark.services
@pytest.mark.parametrize("after", [300, 4_000])
def test_a_run_that_was_killed_goes_on_without_a_row_twice_or_lost(
    sent: Cli, tmp_path: Path, after: int
) -> None:
    # So many rows that a busy machine has time to kill it before the last one.
    file = write_csv(tmp_path / "some.csv", 40_000)
    process = sent.spawn("--from-file", str(file), "--rate", "2000")
    deadline = Deadline(3 * SECONDS)
    while held(sent) < after:
        assert not deadline.expired
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = ids(sent)
    assert after <= before.total() < 40_000
    result = sent.result("--from-file", str(file), "--rate", "50000", "--resume")
    assert ids(sent) == whole(40_000)
    assert result["first_row"] + result["landed"] + result["sent"] == 40_000


@pytest.mark.services
def test_the_file_s_own_gaps_are_kept(sent: Cli, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "some.csv", 300)
    # Three hundred seconds of the file in three.
    result = sent.result("--from-file", str(file), "--speed", "100x")
    assert 2.9 <= result["seconds"] < 30
    moments = [event["event_time"] for event in sent.events()]
    assert moments[0] < moments[150] < moments[299]


@pytest.mark.services
def test_what_cannot_be_a_transaction_is_left_out_and_counted(sent: Cli, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "some.csv", 100)
    file.write_text(file.read_text().replace(",7.25,", ",seven,").replace(",9.25,", ",-9,"))
    result = sent.result("--from-file", str(file), "--rate", "1000", "--no-labels")
    assert result["sent"] == 98
    assert sum(result["unmappable"].values()) == 2
    assert result["next_row"] == 100


@pytest.mark.services
def test_what_has_no_meaning_is_refused(sent: Cli, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "some.csv", 10)
    for arguments, code, words in (
        (["--from-file", "nowhere.csv"], 2, "no file"),
        (["--from-file", str(file), "--preset", "everyday"], 2, "no preset"),
        (["--resume"], 2, "resumed"),
        (["--from-file", str(file), "--mapping", "ieee"], 2, "TransactionAmt"),
        (["--from-file", str(file), "--mapping", "sparkow"], 3, "did you mean sparkov?"),
        (["--from-file", str(file), "--speed", "0"], 2, "speed"),
    ):
        done, _, err = sent.run(*arguments)
        assert done == code, (arguments, err)
        assert words in err
        assert "Traceback" not in err
    assert sent.log() == []


def test_parquet_and_csv_have_the_same_rows(tmp_path: Path) -> None:
    write_csv(tmp_path / "some.csv", 500)
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(table(500)), tmp_path / "some.parquet", row_group_size=100
    )
    for skip in (0, 99, 100, 250, 500):
        from_csv, from_parquet = (
            [
                (number, row["trans_num"], row["amt"])
                for number, row in rows(tmp_path / name, NEEDED, skip=skip)
            ]
            for name in ("some.csv", "some.parquet")
        )
        assert from_csv == from_parquet
        assert len(from_csv) == 500 - skip


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.parquet"
    wrong.write_text("trans_num,amt\n")
    with pytest.raises(DataError, match="not Parquet"):
        rows(wrong, NEEDED, skip=0)
    with pytest.raises(UsageError, match="neither"):
        rows(wrong.rename(tmp_path / "wrong.txt"), NEEDED, skip=0)
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"trans_num,amt\na,1\nb\xff,2\n")
    with pytest.raises(DataError, match="UTF-8"):
        list(rows(latin, NEEDED, skip=0))


def test_a_changed_file_has_another_fingerprint(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "some.csv", 50)
    before: Any = fingerprint(file)
    assert fingerprint(file) == before
    file.write_text(file.read_text() + "more\n")
    assert fingerprint(file) != before
