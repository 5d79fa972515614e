"""Doubts about rows, hints and causes: a silent change of a value is told, and a hint that is typed works."""

import bz2
import csv
import gzip
import io
import re
import tarfile
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import yaml

from fraudctl.simulator.mapping import AmountSource
from fraudctl.tables.amounts import amount_minor
from fraudctl.tables.rejection import RejectedRowError
from tests.support.foreign_tables import (
    check,
    generic,
    mapped,
    rows,
    text_of,
    write_csv,
    write_mapping,
    write_parquet,
)


def remarks(report: dict[str, Any]) -> dict[str, int]:
    return {remark["reason"]: remark["count"] for remark in report["remarks"]}


# Fractions of a minor unit.


@pytest.mark.parametrize("amounts", [{"column": "amount"}, {"column": "amount", "times": 1}])
@pytest.mark.parametrize("amount", ["10.5", "0.4", "1.5E+00", 10.25])
def test_a_fraction_of_a_minor_unit_is_left_out_where_nothing_is_converted(
    tmp_path: Path, amounts: dict[str, Any], amount: object
) -> None:
    table = rows(4, amount=lambda n: amount if n else "1050")
    done = mapped(tmp_path, table, generic(amount_minor=amounts))
    assert done.code == 6
    assert done.reasons == {"amount_minor has a fraction of a minor unit": 3}
    assert "hint: say `times: 100` in the mapping if amounts are in whole units" in done.err


def test_whole_amounts_with_a_point_are_taken_where_nothing_is_converted(tmp_path: Path) -> None:
    table = rows(3, amount=lambda n: ("1050.00", "1050.", "1.050e3")[n])
    report = mapped(tmp_path, table, generic(amount_minor="amount")).report
    assert (report["rows_taken"], report["remarks"]) == (3, [])


def test_an_amount_that_was_rounded_is_counted_and_told(tmp_path: Path, mapping: str) -> None:
    table = rows(5, amount=lambda n: "10.505" if n in (1, 3) else "10.50")
    file = write_csv(tmp_path / "t.csv", table)
    done = check(file, mapping)
    assert (done.code, done.report["rows_taken"]) == (0, 5)
    (remark,) = done.report["remarks"]
    assert (remark["reason"], remark["count"]) == ("amount_minor was rounded to a minor unit", 2)
    assert (remark["first_lines"], remark["example"]) == ([3, 5], "10.505")
    text = check(file, mapping, text=True).out
    assert "amount_minor was rounded to a minor unit (lines 3, 5, for example '10.505')" in text


def test_a_sum_of_floats_has_no_fraction(tmp_path: Path, mapping: str) -> None:
    file = write_parquet(tmp_path / "t.parquet", rows(3, amount=lambda n: 0.1 + 0.2 + n))
    assert check(file, mapping).report["remarks"] == []


def test_an_amount_whose_digits_a_spreadsheet_cut_is_told(tmp_path: Path, mapping: str) -> None:
    table = rows(3, amount=lambda n: ("1.05E+06", "1e3", "1.0500E+03")[n])
    report = check(write_csv(tmp_path / "t.csv", table), mapping).report
    assert remarks(report) == {"amount_minor is a number that was rounded": 1}


@pytest.mark.parametrize(
    "source",
    [{"value": 12.5}, {"value": "12.505", "times": 100}, {"column": "amount", "default": "0.5"}],
)
def test_a_fraction_of_a_minor_unit_in_the_mapping_is_refused(tmp_path: Path, source: dict[str, Any]) -> None:
    done = mapped(tmp_path, rows(3), generic(amount_minor=source))
    assert done.code == 3
    assert "amount_minor has a fraction of a minor unit" in done.err


@pytest.mark.parametrize(
    ("name", "header", "row", "told"),
    [
        (
            "ieee",
            "TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1",
            "1,0,86400,35.526,W,13926",
            {"amount_minor was rounded to a minor unit": 1},
        ),
        # R writes 100000 as 1e+05, and the published file has it so.
        (
            "ulb",
            ",".join(["Time", *(f"V{n}" for n in range(1, 29)), "Amount", "Class"]),
            "1e+05," + "0," * 28 + "9.99,0",
            {},
        ),
    ],
)
def test_public_data_sets_are_taken_with_what_their_amounts_and_times_look_like(
    tmp_path: Path, name: str, header: str, row: str, told: dict[str, int]
) -> None:
    (tmp_path / "t.csv").write_text(f"{header}\n{row}\n")
    done = check(tmp_path / "t.csv")
    assert (done.code, done.report["mapping"], done.report["rows_taken"]) == (0, name, 1)
    assert remarks(done.report) == told


# Numbers that a float or a spreadsheet has rounded.


@pytest.mark.parametrize(
    ("kind", "numbers", "rounded"),
    [
        (pyarrow.float16(), [123.0, 2047.0, 2048.0, 2050.0], 2),
        (pyarrow.float32(), [123.0, 16777215.0, 16777216.0, 16777217.0, 4111111111111111.0], 3),
        (pyarrow.float64(), [123.0, 2.0**53 - 1, 2.0**53, 2.0**53 + 2], 2),
        (pyarrow.float32(), [1.0, float("inf")], 1),
    ],
)
def test_a_float_identifies_something_only_below_the_numbers_that_it_rounds(
    tmp_path: Path, kind: Any, numbers: list[float], rounded: int
) -> None:
    import numpy as np

    if kind == pyarrow.float16():
        numbers = [np.float16(number) for number in numbers]
    table = rows(len(numbers), card=lambda n: numbers[n])
    file = write_parquet(tmp_path / "t.parquet", table, {"card": kind})
    document = write_mapping(tmp_path / "m.yaml", generic(card_id="card"))
    assert check(file, document).reasons == {"card_id is a number that was rounded": rounded}


@pytest.mark.parametrize(
    ("unit", "time"),
    [("s", "1.7041E+09"), ("ms", "1.7041E+12"), ("us", "1.70E+15"), ("ns", "1,7E+18"), ("h", "4.7E+05")],
)
def test_a_time_whose_digits_a_spreadsheet_cut_is_left_out(tmp_path: Path, unit: str, time: str) -> None:
    document = generic(event_time={"column": "ts", "unit": unit})
    done = mapped(tmp_path, rows(2, ts=time), document)
    reason = (
        f"event_time is not a number of {unit}" if "," in time else "event_time is a number that was rounded"
    )
    assert done.reasons == {reason: 2}


@pytest.mark.parametrize(
    ("unit", "time"),
    [("s", "1.704103200E+09"), ("s", "1e+05"), ("ms", "1.704103200E+12"), ("us", "1.704103200E+15")],
)
def test_a_time_with_an_exponent_and_all_its_seconds_is_taken(tmp_path: Path, unit: str, time: str) -> None:
    origin = "2013-09-01T00:00:00Z"
    document = generic(event_time={"column": "ts", "unit": unit, "origin": origin})
    assert mapped(tmp_path, rows(2, ts=time), document).report["rows_taken"] == 2


@pytest.mark.parametrize(
    ("unit", "time", "other"),
    [("ms", "1704103200", "s"), ("us", "1704103200000", "ms"), ("ns", "1704103200000000", "us")],
)
def test_times_in_january_1970_are_told_with_the_unit_that_is_meant(
    tmp_path: Path, unit: str, time: str, other: str
) -> None:
    table = rows(2, ts=time)
    done = mapped(tmp_path, table, generic(event_time={"column": "ts", "unit": unit}))
    (remark,) = done.report["remarks"]
    assert (remark["reason"], remark["count"]) == ("event_time lies in January 1970", 2)
    assert f"`unit: {other}`" in remark["hint"]
    assert (
        mapped(tmp_path, table, generic(event_time={"column": "ts", "unit": other})).report["remarks"] == []
    )


def test_a_time_out_of_range_is_told_with_the_unit_that_is_meant(tmp_path: Path) -> None:
    done = mapped(tmp_path, rows(2, ts="1704103200000"), generic(event_time={"column": "ts", "unit": "s"}))
    assert "`unit: ms`" in done.err


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("%Y-%m-%d %I:%M", "%I needs %p; write %H for 24 hours"),
        ("%Y-%m-%d %H:%M %p", "%p has no effect without %I"),
        ("yyyy-MM-dd HH:mm:ss", "a pattern is written as in %Y-%m-%d %H:%M:%S"),
        ("%Q", "%Q, which is no part of a time"),
        ("%-d.%m.%Y", "%-, which is no part of a time"),
        ("%Y-%m-%d %H:%M:%", "has a % without a letter"),
        ("%Y-%m-%d %H:%m", "has %m twice; %m is the month, and %M the minute"),
        ("%G-%V %d", "no time can be read with"),
    ],
)
def test_a_pattern_that_reads_no_time_is_refused_in_plain_words(
    tmp_path: Path, pattern: str, words: str
) -> None:
    done = mapped(tmp_path, rows(2), generic(event_time={"column": "ts", "format": pattern}))
    assert done.code == 3
    assert words in done.err
    assert "stray" not in done.err and "directive" not in done.err and "group name" not in done.err


def test_twelve_hours_with_am_and_pm_are_read(tmp_path: Path) -> None:
    document = generic(event_time={"column": "ts", "format": "%m/%d/%Y %I:%M %p"})
    assert mapped(tmp_path, rows(2, ts="03/01/2024 12:30 PM"), document).report["rows_taken"] == 2


# Quotation marks that join rows.


def test_a_cell_with_a_line_break_and_the_delimiter_is_told(tmp_path: Path, mapping: str) -> None:
    lines = text_of(rows(5)).splitlines()
    first, second = lines[2].split(","), lines[3].split(",")
    first[3], second[3] = '"shop', 'shop"'
    lines[2:4] = [",".join(first), ",".join(second)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    report = check(tmp_path / "t.csv", mapping).report
    (remark,) = report["remarks"]
    assert remark["reason"] == "a cell spans several lines and holds the delimiter"
    assert (remark["count"], remark["first_lines"]) == (1, [3])
    assert report["rows_taken"] == 4


@pytest.mark.parametrize("shop", ["two\nlines", "a, b"])
def test_a_line_break_or_a_delimiter_alone_is_nothing_to_tell(
    tmp_path: Path, mapping: str, shop: str
) -> None:
    assert check(write_csv(tmp_path / "t.csv", rows(3, shop=shop)), mapping).report["remarks"] == []


@pytest.mark.parametrize("length", [131_073, 2_000_000])
def test_a_long_cell_is_read(tmp_path: Path, mapping: str, length: int) -> None:
    table = rows(3, shop=lambda n: "x" * length if n == 1 else "s")
    assert check(write_csv(tmp_path / "t.csv", table), mapping).report["rows_taken"] == 3


def test_a_row_that_never_ends_is_named_before_memory_is_full(tmp_path: Path, mapping: str) -> None:
    text = text_of(rows(3))
    (tmp_path / "t.csv").write_text(text + '"' + ("x" * 1023 + "\n") * (17 << 10))
    done = check(tmp_path / "t.csv", mapping)
    assert done.code == 6
    assert "the quotation that begins in line 5 does not end" in done.err
    assert "a row may have 16,777,216 characters" in done.err
    assert done.report["rows_taken"] == 3


# Hints that work.


@pytest.mark.parametrize(
    ("amount", "given", "minor"),
    [
        ("1\u00a0234,50", {"thousands": " "}, 123450),
        ("1\u202f234,50 €", {"thousands": " "}, 123450),
        ("1\u2009234", {}, 123400),
        ("1 234", {}, 123400),
        ("1.234.567", {}, 123456700),
        ("1\u2019234.50", {}, 123450),
        ("R$ 5", {}, 500),
        ("US$1,234.50", {}, 123450),
        ("12,5 zł", {}, 1250),
        ("1,234.50", {"decimal": ","}, 123450),
        ("-12,50 kr", {"negative": "absolute"}, 1250),
        ("₹1,23,456", {}, 12345600),
    ],
)
def test_the_hint_of_an_amount_makes_it_readable(amount: str, given: dict[str, Any], minor: int) -> None:
    base = {"column": "amount", "times": 100} | given
    with pytest.raises(RejectedRowError, match="is not a number") as caught:
        amount_minor(amount, AmountSource.model_validate(base).form)
    typed = yaml.safe_load("{" + ", ".join(re.findall(r"`([^`]+)`", caught.value.hint)) + "}")
    assert amount_minor(amount, AmountSource.model_validate(base | typed).form) == minor


@pytest.mark.parametrize("amount", ["10,—", "much", "1.2.3", "5 kg 3"])
def test_no_key_is_named_that_would_not_help(amount: str) -> None:
    with pytest.raises(RejectedRowError) as caught:
        amount_minor(amount, AmountSource(column="amount", times=100).form)
    assert '"' not in caught.value.hint
    assert "correct these amounts" in caught.value.hint


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u202f"])
@pytest.mark.parametrize("told", [" ", "\u00a0", "\u202f"])
def test_all_blanks_are_one_separator(blank: str, told: str) -> None:
    form = AmountSource(column="amount", thousands=told).form
    assert amount_minor(f"1{blank}234", form) == 1234


def test_a_character_that_cannot_be_seen_is_shown_by_its_number(tmp_path: Path, mapping: str) -> None:
    file = write_csv(tmp_path / "t.csv", rows(2, amount="1\u00a0234,50"))
    assert "for example '1\\u00a0234,50'" in check(file, mapping, text=True).out


@pytest.mark.parametrize(
    "change",
    [
        {"amount": ""},
        {"amount": "1e12"},
        {"card": ""},
        {"id": ""},
        {"shop": "null"},
        {"shop": "#REF!"},
        {"id": "NA"},
        {"ts": ""},
        {"ts": "1850-01-01"},
        {"amount": "ten"},
    ],
)
def test_every_reason_has_a_hint(tmp_path: Path, mapping: str, change: dict[str, str]) -> None:
    done = check(write_csv(tmp_path / "t.csv", rows(2, **change)), mapping)
    assert [reason["hint"] for reason in done.report["left_out"] if not reason["hint"]] == []
    assert done.report["error"]["hint"] != "look at the reasons above"


def test_a_delimiter_at_the_end_of_each_row_is_told_as_that(tmp_path: Path, mapping: str) -> None:
    header, _, rest = text_of(rows(3)).partition("\n")
    (tmp_path / "t.csv").write_text(header + "\n" + rest.replace("\n", ",\n"))
    assert "each row ends with a delimiter" in check(tmp_path / "t.csv", mapping).err


# Files that are no table.


def _archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        content = text_of(rows(3)).encode()
        member = tarfile.TarInfo("t.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


TEXT = text_of(rows(3)).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_archive(), "a tar archive"),
        (gzip.compress(_archive()), "a packed tar archive"),
        (gzip.compress(gzip.compress(TEXT)), "packed twice, the second time with gzip"),
        (bz2.compress(gzip.compress(TEXT)), "packed twice, the second time with gzip"),
        (b"\xef\xbb\xbf" * 2 + TEXT, "begins with two byte order marks"),
        (("\ufeff" * 2).encode("utf-16-le") + TEXT.decode().encode("utf-16-le"), "two byte order marks"),
        (TEXT.replace(b"shop-2", b"sh\x00op"), "line 4 holds NUL bytes"),
        (TEXT + b"\x00" * 9_000, "line 5 holds NUL bytes"),
        (TEXT * 300 + b"\x00" * 9_000, "line 1,201 holds NUL bytes"),
        (b"\x00" * 9_000, "line 1 holds NUL bytes"),
        (gzip.compress(TEXT)[:-9], "it ends too early"),
        (gzip.compress(TEXT) + b"trash, and more of it", "bytes follow that are not gzip"),
        (TEXT + b'"a"b,1\n', "looked for its end up to line 5"),
    ],
    ids=lambda one: one if isinstance(one, str) else "file",  # packed bytes differ from run to run
)
def test_what_spoils_a_file_is_named_in_plain_words(
    tmp_path: Path, mapping: str, content: bytes, words: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    done = check(tmp_path / "t.csv", mapping, ["--allow-rejected", "100"])
    assert done.code == 6
    assert words in done.err
    assert "hint: " in done.err
    assert not re.search(r"Error|b'|expected after|field limit", done.err)


def test_a_packed_parquet_file_is_named_whatever_its_name_is(tmp_path: Path, mapping: str) -> None:
    packed = gzip.compress(write_parquet(tmp_path / "a.parquet", rows(3)).read_bytes())
    for name, arguments in (("t.parquet", []), ("t.gz", []), ("t.csv", ["--encoding", "utf-8"])):
        (tmp_path / name).write_bytes(packed)
        done = check(tmp_path / name, mapping, arguments)
        assert done.code == 6
        assert "is packed Parquet" in done.err


@pytest.mark.parametrize("end", ["\x1a", "\n\x1a", "\n\x1a\x1a\x1a"])
def test_an_end_mark_of_cp_m_ends_the_table(tmp_path: Path, mapping: str, end: str) -> None:
    (tmp_path / "t.csv").write_text(text_of(rows(3)).removesuffix("\n") + end)
    report = check(tmp_path / "t.csv", mapping).report
    assert (report["rows_taken"], report["rows_left_out"], report["fraud"]) == (3, 0, 1)


def test_bytes_are_shown_as_such(tmp_path: Path, mapping: str) -> None:
    table = rows(2, shop=b"\xff\xfe")
    done = check(write_parquet(tmp_path / "t.parquet", table, {"shop": pyarrow.binary()}), mapping)
    assert done.report["left_out"][0]["example"] == "0xff 0xfe"


# Layouts and mappings without effect.


@pytest.mark.parametrize("typed", ["\\x01", "\\u0001", "\\001", "^A"])
def test_a_delimiter_may_be_typed_as_an_escape(tmp_path: Path, mapping: str, typed: str) -> None:
    file = write_csv(tmp_path / "t.csv", rows(3), delimiter="\x01", quoting=csv.QUOTE_MINIMAL)
    assert check(file, mapping, ["--delimiter", typed]).report["rows_taken"] == 3


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "table: is empty, which has no effect"),
        ({"quote": "x"}, "table.quote: a letter, a digit, a blank or a line end cannot quote or escape"),
        ({"delimiter": "|", "quote": "|"}, "`delimiter` and `quote` are both '|'"),
        ({"delimiter": "|", "escape": "|"}, "`delimiter` and `escape` are both '|'"),
        ({"quote": "'", "escape": "'"}, "`quote` and `escape` are both"),
    ],
)
def test_a_layout_without_a_meaning_is_refused(tmp_path: Path, table: dict[str, str], words: str) -> None:
    done = mapped(tmp_path, rows(3), generic() | {"table": table})
    assert done.code == 3
    assert words in done.err


def test_a_told_delimiter_is_not_the_quotation_mark(tmp_path: Path) -> None:
    done = mapped(tmp_path, rows(3), generic() | {"table": {"quote": "'"}}, "--delimiter", "'")
    assert done.code == 2
    assert "cannot both separate fields and quote" in done.err


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"merchant_id": {"column": "shop", "map": {}}}, "columns.merchant_id.map: is empty"),
        ({"event_time": {"column": "ts", "unit": "s", "origin": 2026}}, "not the number 2026"),
        ({"event_time": {"column": "ts", "unit": "s", "origin": "2026"}}, 'not the text "2026"'),
        ({"event_time": {"column": "ts", "unit": "s", "origin": "2026-01-01"}}, "a time with its zone"),
        ({"country": {"value": "de"}}, "columns.country.value: 'de' is not two capital letters"),
        ({"merchant_id": {"value": "a b"}}, "'a b' is not an identifier (letters, digits"),
        (
            {"channel": {"column": "shop", "map": {"a": "B"}}},
            "columns.channel.map.a: 'B' is not small letters",
        ),
        ({"amount_minor": {"column": "amount", "thousands": "5"}}, '"\\u00a0" (a no-break blank)'),
        ({"amount_minor": {"column": "amount", "decimal": ""}}, 'must be "." or ",", not the text ""'),
    ],
)
def test_a_mapping_is_refused_with_the_place_and_the_form_in_words(
    tmp_path: Path, columns: dict[str, Any], words: str
) -> None:
    done = mapped(tmp_path, rows(3), generic(**columns))
    assert done.code == 3
    assert words in done.err
    assert re.search(r"own\.yaml:\d+: columns\.", done.err)
    assert "[A-Z]" not in done.err
