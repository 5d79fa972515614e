"""Files of events and labels: what people have is read, what was lost is told, another file is named."""

import bz2
import gzip
import json
import lzma
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner, Result

from fraudctl.cli.main import app
from fraudctl.errors import DataError, FraudctlError, UsageError
from fraudctl.operations.inputs.event_files import ReportBuilder, check_some_taken, lines_of, report_lines

RULES = "rules: [{id: dear, reason: dear, when: {amount_over: 100}}]\n"
TAKEN = 300


def event(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "transaction_id": f"t-{number}",
        "event_time": f"2026-03-{1 + number % 28:02}T10:00:{number // 1000:02}.{number % 1000:03}Z",
        "card_id": f"c-{number % 7}",
        "merchant_id": "m",
        "category": "Food",
        "amount_minor": 50 + number,
        "currency": "EUR",
        "country": "DE",
        "channel": "pos",
        **changed,
    }


def label(number: int, **changed: Any) -> dict[str, Any]:
    own = event(number)
    return {
        "schema_version": 1,
        **{name: own[name] for name in ("transaction_id", "event_time", "card_id")},
        "scenario": "takeover",
        "reported_at": f"2026-03-{1 + number % 28:02}T11:00:00Z",
        **changed,
    }


def lines(documents: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


EVENTS = lines([event(number) for number in range(TAKEN)])
LABELS = lines([label(number) for number in range(0, TAKEN, 10)])


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def tried(tmp_path: Path, content: bytes, *more: str) -> Result:
    """Try rules on a file of events with this content."""
    file, rules = tmp_path / "events.jsonl", tmp_path / "rules.yaml"
    file.write_bytes(content)
    rules.write_text(RULES, encoding="utf-8")
    return run("rules", "test", rules, "--events", file, "--home", tmp_path, *more)


def evaluated(tmp_path: Path, events: bytes, labels: bytes, *more: str) -> Result:
    """Evaluate files of events and labels with this content."""
    files = tmp_path / "events.jsonl", tmp_path / "labels.jsonl"
    for file, content in zip(files, (events, labels), strict=True):
        file.write_bytes(content)
    return run("evaluate", "--events", files[0], "--labels", files[1], "--home", tmp_path, *more)


def pretty(content: bytes) -> bytes:
    return b"".join(json.dumps(json.loads(line), indent=2).encode() + b"\n" for line in content.splitlines())


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda content: content,
    "mark": lambda content: b"\xef\xbb\xbf" + content,
    "crlf": lambda content: content.replace(b"\n", b"\r\n"),
    "cr": lambda content: content.replace(b"\n", b"\r"),
    "blank lines": lambda content: b"\n\n" + content.replace(b"\n", b"\n \t\n"),
    "no last newline": lambda content: content.rstrip(b"\n"),
    "gzip": gzip.compress,
    "two gzip members": lambda content: gzip.compress(content[:1]) + gzip.compress(content[1:]),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "utf-16": lambda content: content.decode().encode("utf-16"),
    "utf-16-le": lambda content: content.decode().encode("utf-16-le"),
    "gzip of utf-16": lambda content: gzip.compress(content.decode().encode("utf-16")),
    "array": lambda content: b"[" + content.strip().replace(b"\n", b",\n") + b"]",
    "array on one line": lambda content: b"[" + content.strip().replace(b"\n", b", ") + b"]\n",
    "objects over several lines": pretty,
    "array over several lines": lambda content: (
        b"\xef\xbb\xbf[\n" + pretty(content).strip().replace(b"}\n{", b"},\n{") + b"\n]"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_that_people_have_gives_the_same_events_and_labels(tmp_path: Path, form: str) -> None:
    result = tried(tmp_path, FORMS[form](EVENTS), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["read"], found["refused"], found["judged"]) == (TAKEN, 0, TAKEN)
    result = evaluated(tmp_path, FORMS[form](EVENTS), FORMS[form](LABELS), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["judged"], found["labels"], found["fraud"], found["labels_unmatched"]) == (TAKEN, 30, 30, 0)


def parquet(tmp_path: Path) -> bytes:
    pa.parquet.write_table(pa.table({"a": [1, 2]}), tmp_path / "t.parquet")
    return (tmp_path / "t.parquet").read_bytes()


def zipped(tmp_path: Path) -> bytes:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("events.jsonl", EVENTS)
    return (tmp_path / "t.zip").read_bytes()


OTHER_FILES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda _: b"", "it is empty"),
    "blank": (lambda _: b"\n \n\n", "it is empty"),
    "narrow table": (lambda _: b"id,amount\n1,2\n", "it looks like a table with commas"),
    "table": (lambda _: b"id,time,amount\n1,2026-03-01,5\n", "it looks like a table with commas"),
    "european table": (
        lambda _: b"id;time;amount\n1;2026-03-01;5\n",
        "it looks like a table with semicolons",
    ),
    "words": (lambda _: b"hello\nworld\n", "no line is a JSON object"),
    "rules": (lambda _: RULES.encode(), "no line is a JSON object"),
    "parquet": (parquet, "is a Parquet table"),
    "gzip of a table": (lambda _: gzip.compress(b"a,b,c\n1,2,3\n"), "it looks like a table with commas"),
    "zip": (zipped, "is a ZIP archive"),
    "zstd": (lambda _: b"\x28\xb5\x2f\xfdrest of it", "is a Zstandard file"),
    "cut gzip": (lambda _: gzip.compress(EVENTS * 9)[:-40], "damaged compressed file"),
    "broken gzip": (lambda _: b"\x1f\x8b\x08\x00" + b"x" * 50, "damaged compressed file"),
    "cut xz": (lambda _: lzma.compress(EVENTS)[:-40], "damaged compressed file"),
    "cut bzip2": (lambda _: bz2.compress(EVENTS)[:-40], "damaged compressed file"),
    "cut array": (lambda _: b"[" + EVENTS.strip().replace(b"\n", b",\n"), "the list does not end"),
    "array with a mistake": (lambda _: b'[\n{"a": 1},\n{"a" 2}]', ":3 is not JSON"),
    "binary": (lambda _: bytes(range(256)) * 9, "is a binary file"),
    "zeros": (lambda _: b"\0" * 4096, "is a binary file"),
    "utf-32": (lambda _: EVENTS.decode().encode("utf-32"), "UTF-32"),
    "cut utf-16": (lambda _: EVENTS.decode().encode("utf-16")[:-1], "is not valid UTF-16 after line "),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_another_file_is_named_as_what_it_is(tmp_path: Path, kind: str) -> None:
    """As events for both commands, and as labels: exit 6, the cause, and what to do."""
    make, words = OTHER_FILES[kind]
    content = make(tmp_path)
    for result in (
        tried(tmp_path, content),
        evaluated(tmp_path, content, LABELS),
        evaluated(tmp_path, EVENTS, content),
    ):
        assert result.exit_code == 6, result.output
        assert words in result.stderr
        assert "hint: " in result.stderr
        assert "Traceback" not in result.stderr


def test_labels_given_as_events_are_named_and_the_other_way_round(tmp_path: Path) -> None:
    for result, option, words in (
        (tried(tmp_path, LABELS), "--labels", "a label, not an event"),
        (evaluated(tmp_path, LABELS, EVENTS), "--labels", "a label, not an event"),
        (evaluated(tmp_path, EVENTS, EVENTS), "--events", "an event, not a label"),
    ):
        assert result.exit_code == 6
        assert f"give it to {option}" in result.stderr
        assert words in result.stderr


def test_what_is_no_file_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    for file, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "no.jsonl", "cannot be read"),
        (tmp_path / "empty", "it is empty"),
        (Path("/dev/null"), "it is a device, and not a file"),
        (tmp_path / "fifo", "it is a pipe, and not a file"),
        (tmp_path / "loop", "cannot be read: Too many levels of symbolic links"),
    ):
        with pytest.raises(FraudctlError, match=words):
            builder = ReportBuilder(file, "event")
            for _line in lines_of(file, "event"):
                builder.take()
            check_some_taken(builder.report())
    with pytest.raises(UsageError):
        list(lines_of(tmp_path, "event"))


def test_a_pipe_of_the_shell_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"a": 1}\n')
    os.close(writing)
    assert list(lines_of(Path(f"/dev/fd/{reading}"), "event")) == [(1, b'{"a": 1}')]


DEFECTS = [
    (b"not JSON at all", "not JSON"),
    (b'{"a": 1', "not JSON"),
    (b"\xff\xfe\xfd", "not UTF-8"),
    (b'{"a": 1, "a": 2}', "JSON that is not strict"),
    (b"[1, 2]", "the JSON is an array, not an object"),
    (b'{"a": 1}', "fields are missing"),
    (json.dumps(label(1)).encode(), "a label, not an event"),
    (json.dumps(event(1) | {"extra": 1}).encode(), "fields that an event does not have"),
    (json.dumps(event(1, amount_minor="5")).encode(), "amount_minor is not an integer"),
    (json.dumps(event(1, amount_minor=0)).encode(), "amount_minor is not from 1 to"),
    (json.dumps(event(1, category="Travel")).encode(), "category is none of events.categories"),
    (json.dumps(event(1, event_time="2026-03-01")).encode(), "event_time is no RFC 3339 time"),
    (json.dumps(event(1, country="de")).encode(), "country is not two capital letters"),
    (json.dumps(event(1, card_id="a b")).encode(), "card_id holds characters"),
    (b'{"a": "' + b"x" * 20_000 + b'"}', "longer than events.max_bytes"),
]


@pytest.mark.parametrize(("line", "reason"), DEFECTS, ids=[reason for _line, reason in DEFECTS])
def test_a_line_that_is_left_out_is_told_with_its_number_and_its_kind(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    many = EVENTS.splitlines()
    content = b"\n".join([*many[:10], line, b"", line, *many[10:]])
    result = tried(tmp_path, content, "--json")
    assert result.exit_code == 0, "two of 302 are less than 1 %"
    found = json.loads(result.stdout)
    assert (found["read"], found["refused"], found["judged"]) == (TAKEN + 2, 2, TAKEN)
    (group,) = found["file"]["reasons"]
    assert group["reason"].startswith(reason)
    assert (group["count"], group["lines"]) == (2, [11, 13])
    text = tried(tmp_path, content)
    assert f"2 left out: {group['reason']} (lines 11, 13" in text.stdout


def test_reasons_are_grouped_by_kind_and_not_by_value(tmp_path: Path) -> None:
    strange = lines([event(number, category=f"Kind {number}") for number in range(50)])
    result = tried(tmp_path, EVENTS + strange, "--json")
    (group,) = json.loads(result.stdout)["file"]["reasons"]
    assert (group["count"], group["lines"], group["example"]) == (50, [301, 302, 303, 304, 305], '"Kind 0"')


def test_more_left_out_than_is_allowed_is_no_success(tmp_path: Path) -> None:
    content = EVENTS + b"broken\n" * 4
    result = tried(tmp_path, content, "--json")
    assert result.exit_code == 6
    assert json.loads(result.stdout)["judged"] == TAKEN, "what was found is told all the same"
    assert "more than 1 % of the lines were left out" in result.stderr
    assert "`--allow-rejected 2%`" in result.stderr
    assert tried(tmp_path, content, "--allow-rejected", "2%").exit_code == 0
    assert tried(tmp_path, content, "--allow-rejected", "2").exit_code == 0
    assert tried(tmp_path, content, "--allow-rejected", "1.5 %").exit_code == 0
    assert tried(tmp_path, EVENTS + b"broken\n", "--allow-rejected", "0%").exit_code == 6
    assert evaluated(tmp_path, EVENTS, LABELS + b"broken\n").exit_code == 6
    assert evaluated(tmp_path, EVENTS, LABELS + b"broken\n", "--allow-rejected", "5 %").exit_code == 0


@pytest.mark.parametrize("share", ["0.5", "0.02", "101%", "101", "-1%", "a", "", "nan"])
def test_a_share_is_a_share(tmp_path: Path, share: str) -> None:
    assert tried(tmp_path, EVENTS, "--allow-rejected", share).exit_code == 2


def test_an_example_never_shows_a_card_number(tmp_path: Path) -> None:
    result = tried(tmp_path, EVENTS + json.dumps(event(1, country="4111111111111111")).encode() + b"\n")
    assert "411111******1111" in result.stdout
    assert "4111111111111111" not in result.stdout


def test_a_file_of_events_may_have_copies(tmp_path: Path) -> None:
    found = json.loads(tried(tmp_path, EVENTS + EVENTS[: len(EVENTS) // 2], "--json").stdout)
    assert found["read"] == found["judged"] + found["duplicates"] + found["refused"]
    assert found["judged"] == TAKEN
    text = evaluated(tmp_path, EVENTS + EVENTS[: len(EVENTS) // 2], LABELS + LABELS).stdout
    assert f"{found['duplicates']:,} copies of events, counted once" in text
    assert "30 more labels of a transaction that has one" in text


LABEL_DEFECTS = [
    ("broken", "not JSON"),
    ("[1]", "JSON, but not an object"),
    (json.dumps({"transaction_id": "a"}), "fields are missing"),
    (json.dumps(event(1)), "an event, not a label"),
    (json.dumps(label(1, event_time="2026-03-01")), "event_time is no RFC 3339 time"),
    (json.dumps(label(1, event_time="2026-02-30T10:00:00Z")), "event_time is no RFC 3339 time"),
    (json.dumps(label(1, reported_at=5)), "reported_at is no RFC 3339 time"),
    (json.dumps(label(1, transaction_id=True)), "transaction_id is no text"),
    (json.dumps(label(1, transaction_id=[])), "transaction_id is no text"),
    (json.dumps(label(1, transaction_id=" ")), "transaction_id is no text"),
]


@pytest.mark.parametrize(("line", "reason"), LABEL_DEFECTS)
def test_a_label_that_is_left_out_is_told(tmp_path: Path, line: str, reason: str) -> None:
    result = evaluated(tmp_path, EVENTS, LABELS + line.encode() + b"\n", "--json", "--allow-rejected", "4%")
    assert result.exit_code == 0, result.output
    (group,) = json.loads(result.stdout)["files"][1]["reasons"]
    assert (group["reason"].startswith(reason), group["lines"]) == (True, [31]), group
    assert f"1 left out: {group['reason']}" in evaluated(tmp_path, EVENTS, LABELS + line.encode()).stdout


def test_training_says_what_it_read_and_refuses_what_lost_too_much(tmp_path: Path) -> None:
    files = tmp_path / "events.jsonl", tmp_path / "labels.jsonl"
    days = ("--train-days", "14", "--delay-days", "0", "--test-days", "14", "--first-day", "0")
    events = lines([event(number, card_id=f"c-{number}") for number in range(TAKEN)])
    labels = [label(number, card_id=f"c-{number}") for number in range(0, TAKEN, 10)]
    differing = [labels[2] | {"card_id": "another"}, labels[3] | {"scenario": "testing"}]
    files[0].write_bytes(events + b"broken\n")
    files[1].write_bytes(lines(labels + differing))
    common = ("train", "--events", files[0], "--labels", files[1], *days, "--home", tmp_path)
    result = run(*common, "--model", "lr")
    assert result.exit_code == 0, result.output
    assert "1 left out: not JSON (line 301" in result.stdout
    assert "2 ids have several labels that differ" in result.stdout
    assert "1 label names an id that only transactions of other cards have" in result.stdout
    recorded = json.loads(run(*common, "--model", "lr", "--json").stdout)["recorded"]
    assert [(one["read"], one["taken"]) for one in recorded["files"]] == [(301, 300), (32, 32)]
    files[0].write_bytes(events + b"broken\n" * 10)
    for more in (("--model", "lr"), ("--features", "stream")):
        result = run(*common, *more)
        assert result.exit_code == 6
        assert "more than 1 % of the lines were left out" in result.stderr


def test_a_damaged_file_in_the_middle_is_named_with_the_line(tmp_path: Path) -> None:
    packed = gzip.compress(lines([event(number) for number in range(9_000)]))
    result = tried(tmp_path, packed[: len(packed) // 2])
    assert result.exit_code == 6
    assert "it cannot be unpacked after line " in result.stderr


def test_a_line_that_never_ends_takes_no_memory(tmp_path: Path) -> None:
    result = tried(tmp_path, EVENTS + b'{"a": "' + b"x" * 9_000_000 + b'"}\n' + EVENTS[:300])
    assert "1 left out: longer than events.max_bytes (line 301" in result.stdout


def test_a_report_reads_well() -> None:
    builder = ReportBuilder(Path("e.jsonl"), "event")
    for _ in range(3):
        builder.take()
    for number in range(4, 12):
        builder.leave_out(number, "not JSON", "x" * 500)
    assert report_lines(builder.report()) == [
        "e.jsonl: 11 lines read, 3 taken as events, 8 left out (72.73 %)",
        f"  8 left out: not JSON (lines 4, 5, 6, 7, 8, …; for example {'x' * 79}…)",
    ]


def test_a_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES, encoding="utf-8")
    file = Path(os.fsdecode(bytes(tmp_path) + b"/\xff.jsonl"))
    file.write_bytes(EVENTS)
    for more in ((), ("--json",)):
        result = run("rules", "test", rules, "--events", file, "--home", tmp_path, *more)
        assert result.exit_code == 0
        assert "udcff.jsonl" in result.stdout
    assert run("rules", "check", file, "--home", tmp_path).exit_code == 3


def test_data_errors_are_exit_6() -> None:
    assert DataError("x").exit_code == 6
