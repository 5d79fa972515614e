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

import pytest
from confluent_kafka.admin import AdminClient

from fraudctl.broker.topics import end_offsets
from fraudctl.clock import Deadline
from tests.integration.test_produce import SECONDS, Cli, cli
from tests.support import foreign_tables

__all__ = ["cli"]
COLUMNS = ("trans_num", "trans_date_trans_time", "cc_num", "merchant", "category", "amt", "is_fraud")


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
    assert (second["first_row"], second["sent"], second["already_in_log"]) == (1_234, 1_766, 0)
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
    assert result["first_row"] + result["already_in_log"] + result["sent"] == 40_000


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
    code, out, err = sent.run("--from-file", str(file), "--rate", "1000", "--no-labels", "--json")
    result = json.loads(out)
    assert code == 6
    assert "2 of 100 rows were left out" in err
    assert (result["sent"], result["rows_read"], result["next_row"]) == (98, 100, 100)
    assert {reason["reason"]: reason["first_lines"] for reason in result["left_out"]} == {
        "amount_minor is not a number": [8],
        "amount_minor is negative": [10],
    }
    allowed = sent.result("--from-file", str(file), "--rate", "1000", "--allow-rejected", "2%")
    assert (allowed["sent"], allowed["rows_left_out"]) == (98, 2)


@pytest.mark.services
def test_what_has_no_meaning_is_refused(sent: Cli, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "some.csv", 10)
    for arguments, code, words in (
        (["--from-file", "nowhere.csv"], 2, "no file"),
        (["--from-file", str(file), "--preset", "everyday"], 2, "exclude each other"),
        (["--resume"], 2, "--resume is for a file"),
        (["--from-file", str(file), "--mapping", "ieee"], 2, "TransactionAmt"),
        (["--from-file", str(file), "--mapping", "sparkow"], 3, "did you mean sparkov?"),
        (["--from-file", str(file), "--speed", "0"], 2, "speed"),
    ):
        done, _, err = sent.run(*arguments)
        assert done == code, (arguments, err)
        assert words in err
        assert "Traceback" not in err
    assert sent.log() == []


def killed_after(command: Cli, file: Path, records: int, *arguments: str) -> int:
    """Kill a run that has sent so many records; return how many the log holds then."""
    process = command.spawn("--from-file", str(file), *arguments)
    before = held(command)
    deadline = Deadline(3 * SECONDS)
    while held(command) < before + records:
        assert not deadline.expired
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return held(command) - before


@pytest.mark.services
@pytest.mark.parametrize(
    "change",
    [
        {"id": lambda number: f"order-{number % 10}"},
        {"id": lambda number: "y" * 63 + f"{number}"},
        {"id": "one", "ts": "2024-05-01", "card": "c", "shop": "s", "amount": "1", "fraud": "0"},
    ],
)
def test_rows_whose_ids_repeat_are_each_sent_once(sent: Cli, tmp_path: Path, change: dict[str, Any]) -> None:
    file = foreign_tables.write_csv(tmp_path / "t.csv", foreign_tables.rows(600, **change))
    mapping = foreign_tables.write_mapping(tmp_path / "m.yaml", foreign_tables.generic())
    killed_after(sent, file, 100, "--mapping", mapping, "--rate", "100")
    result = sent.result("--from-file", str(file), "--mapping", mapping, "--rate", "5000", "--resume")
    assert result["first_row"] + result["rows_read"] == 600
    assert held(sent) == 600
    if "id" in change and callable(change["id"]):
        amounts = Counter(event["amount_minor"] for event in sent.events())
        assert amounts == Counter(number % 90 * 100 + 150 for number in range(600))


@pytest.mark.services
def test_a_file_that_grew_is_gone_on_with_and_a_changed_one_is_refused(sent: Cli, tmp_path: Path) -> None:
    file = foreign_tables.write_csv(tmp_path / "t.csv", foreign_tables.rows(100))
    common = ["--from-file", str(file), "--rate", "2000", "--mapping"]
    common.append(foreign_tables.write_mapping(tmp_path / "m.yaml", foreign_tables.generic()))

    code, _, err = sent.run(*common, "--resume")
    assert (code, held(sent)) == (3, 0)
    assert "no earlier run" in err
    assert sent.result(*common)["sent"] == 100
    foreign_tables.write_csv(file, foreign_tables.rows(120))
    assert sent.result(*common, "--resume")["sent"] == 20
    assert sent.result(*common, "--resume")["rows_read"] == 0
    foreign_tables.write_csv(file, list(reversed(foreign_tables.rows(140))))
    code, _, err = sent.run(*common, "--resume")
    assert code == 3
    assert "have changed since" in err
    assert "begin anew without --resume" in err
    assert held(sent) == 120
    assert "came to row 120" in sent.result(*common)["notes"][0]


@pytest.mark.services
def test_a_file_that_breaks_off_is_settled_and_goes_on_once_it_is_mended(sent: Cli, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    text = foreign_tables.text_of(foreign_tables.rows(3000, shop=lambda n: "Caf\xe9" if n == 2500 else "s"))
    file.write_text(text, encoding="latin-1")
    common = ["--from-file", str(file), "--rate", "max", "--mapping"]
    common.append(foreign_tables.write_mapping(tmp_path / "m.yaml", foreign_tables.generic()))

    code, out, err = sent.run(*common, "--json")
    assert code == 6
    assert "line 2,502" in err
    result = json.loads(out)
    assert (result["rows_read"], result["acknowledged"], result["next_row"]) == (2500, 2500, 2500)
    assert held(sent) == 2500
    file.write_text(text, encoding="utf-8")
    assert sent.result(*common, "--resume")["sent"] == 500
    assert held(sent) == 3000


@pytest.mark.services
def test_digests_of_cards_keep_their_key_and_a_lost_one_is_told(sent: Cli, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "some.csv", 50)
    common = ["--from-file", str(file), "--rate", "max"]
    sent.result(*common, "--count", "25")
    (key,) = tmp_path.glob("stacks/*/secrets/card-digest.key")
    assert key.stat().st_mode & 0o777 == 0o600
    kept = key.read_text()

    key.unlink()
    code, _, err = sent.run(*common, "--resume")
    assert code == 3
    assert "card-digest.key" in err
    key.write_text("0" * 64)
    key.chmod(0o600)
    code, _, err = sent.run(*common, "--resume")
    assert code == 3
    assert "not the one that the file was begun with" in err
    key.write_text(kept)
    assert sent.result(*common, "--resume")["sent"] == 25
    key.unlink()
    assert "is new" in sent.result(*common)["notes"][0]


@pytest.mark.services
def test_a_file_is_sent_by_one_process_at_a_time(sent: Cli, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "some.csv", 2_000)
    first = sent.spawn("--from-file", str(file), "--rate", "50")
    deadline = Deadline(3 * SECONDS)
    while held(sent) == 0:
        assert not deadline.expired
        time.sleep(0.05)
    code, _, err = sent.run("--from-file", str(file), "--resume")
    first.kill()
    first.communicate()
    assert code == 5
    assert "sending some.csv" in err


def own_rows(folder: Path, count: int = 50, **changes: Any) -> tuple[Path, list[str]]:
    """A table with a mapping of its own; returns the file, and the arguments for another table like it."""
    mapping = foreign_tables.write_mapping(folder / "m.yaml", foreign_tables.generic())
    file = foreign_tables.write_csv(folder / "e1.csv", foreign_tables.rows(count, **changes))
    return file, ["--rate", "max", "--mapping", mapping, "--from-file"]


@pytest.mark.services
def test_a_file_that_does_not_fit_its_own_run_goes_on_with_no_other_one(sent: Cli, tmp_path: Path) -> None:
    file, common = own_rows(tmp_path)
    assert sent.result(*common, str(file), "--count", "20")["sent"] == 20
    table = foreign_tables.rows(50)
    table[30]["ts"] = "x" + table[30]["ts"]
    other = foreign_tables.write_csv(tmp_path / "e2.csv", table)
    assert sent.result(*common, str(other), "--allow-rejected", "50")["sent"] == 49
    foreign_tables.write_csv(other, foreign_tables.rows(50))
    for gone in (False, True):
        if gone:
            file.unlink()
        code, _, err = sent.run(*common, str(other), "--resume")
        assert code == 3
        assert "row 31 (line 32) has changed" in err
        assert "had been left out, and was never sent" in err
    # The remedy of the hint.
    foreign_tables.write_csv(other, [*table, foreign_tables.rows(31)[30]])
    assert sent.result(*common, str(other), "--resume")["sent"] == 1
    assert Counter({row["id"]: 1 for row in table}) + Counter(f"t{n}" for n in range(20)) == ids(sent)


@pytest.mark.services
def test_a_moved_file_goes_on_and_a_copy_is_refused(sent: Cli, tmp_path: Path) -> None:
    file, common = own_rows(tmp_path)
    copy = foreign_tables.write_csv(tmp_path / "copy.csv", foreign_tables.rows(60))
    assert sent.result(*common, str(file), "--count", "20")["sent"] == 20
    code, _, err = sent.run(*common, str(copy), "--resume")
    assert code == 3
    assert str(file) in err
    assert "begin this one without --resume" in err
    assert held(sent) == 20
    file.unlink()
    result = sent.result(*common, str(copy), "--resume", "--count", "10")
    assert (result["first_row"], result["sent"]) == (20, 10)
    assert f"went on from the run of {file}" in result["notes"][0]
    # The run belongs to its new name alone, and may be moved back.
    copy.rename(file)
    result = sent.result(*common, str(file), "--resume")
    assert (result["first_row"], result["sent"]) == (30, 30)
    assert sent.result(*common, str(file), "--resume")["notes"] == []
    assert set(ids(sent).values()) == {1}
    assert held(sent) == 60


@pytest.mark.services
def test_a_file_that_is_moved_while_it_is_sent_is_sent_by_one_process(sent: Cli, tmp_path: Path) -> None:
    file, _ = own_rows(tmp_path, 2_000)
    common = ["--mapping", str(tmp_path / "m.yaml"), "--from-file"]
    first = sent.spawn(*common, str(file), "--rate", "50")
    deadline = Deadline(3 * SECONDS)
    while held(sent) == 0:
        assert not deadline.expired
        time.sleep(0.05)
    moved = file.rename(tmp_path / "moved.csv")
    code, _, err = sent.run(*common, str(moved), "--rate", "max", "--resume")
    first.kill()
    first.communicate()
    assert code == 5
    assert "sending e1.csv" in err
    assert sent.result(*common, str(moved), "--rate", "max", "--resume")["next_row"] == 2_000
    assert held(sent) == 2_000
    assert set(ids(sent).values()) == {1}


@pytest.mark.services
def test_a_moved_file_that_fits_two_runs_is_refused(sent: Cli, tmp_path: Path) -> None:
    file, common = own_rows(tmp_path)
    other = foreign_tables.write_csv(tmp_path / "e2.csv", foreign_tables.rows(50))
    for each, count in ((file, "20"), (other, "30")):
        sent.result(*common, str(each), "--count", count)
        each.unlink()
    new = foreign_tables.write_csv(tmp_path / "e3.csv", foreign_tables.rows(50))
    code, _, err = sent.run(*common, str(new), "--resume")
    assert code == 3
    assert str(file) in err
    assert str(other) in err
    assert held(sent) == 50


@pytest.mark.services
def test_an_earlier_run_is_told_by_its_rows(sent: Cli, tmp_path: Path) -> None:
    file, common = own_rows(tmp_path, 44)
    assert sent.result(*common, str(file))["notes"] == []
    (note,) = sent.result(*common, str(file))["notes"]
    assert "sent the same rows again: they count twice (--resume would have gone on)" in note
    foreign_tables.write_csv(file, foreign_tables.rows(29, id=lambda n: f"new{n}"))
    (note,) = sent.result(*common, str(file))["notes"]
    assert "came to row 44; rows that are also in this run count twice" in note
    assert "--resume" not in note
