"""Tables as people have them: what fits is read, what does not is named and counted."""

import gzip
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from fraudctl.tables.streams import LONGEST_LINE
from tests.support.foreign_tables import (
    HEADER,
    check,
    generic,
    mapped,
    rows,
    text_of,
    write_csv,
    write_mapping,
    write_parquet,
)

Table = list[dict[str, Any]]


# Rows that are left out are counted by kind.


@pytest.mark.parametrize(
    ("changes", "reason", "example"),
    [
        ({"amount": lambda n: f"$1,2{n:02d}.50" if n else "5"}, "amount_minor is not a number", "$1,201.50"),
        ({"ts": lambda n: f"03/02/2019 7:0{n}" if n else "2024-05-01"}, "event_time is", "03/02/2019 7:01"),
        ({"amount": lambda n: -n - 0.5 if n else 1}, "amount_minor is negative", "-1.5"),
        ({"card": lambda n: f"{n}.57E+15" if n else "c"}, "card_id is a number that was rounded", "1.57E+15"),
        ({"shop": lambda n: "NaN" if n else "s"}, "merchant_id says that it has no value", "NaN"),
        ({"id": lambda n: "" if n else "t"}, "transaction_id is empty", ""),
    ],
)  # fmt: skip
def test_rows_that_are_refused_are_counted_by_kind_with_an_example(
    tmp_path: Path, mapping: str, changes: dict[str, Any], reason: str, example: str
) -> None:
    file = write_csv(tmp_path / "table.csv", rows(10, **changes))
    done = check(file, mapping)
    assert done.code == 6
    report = done.report
    assert (report["rows_read"], report["rows_taken"], report["rows_left_out"]) == (10, 1, 9)
    assert "9 of 10 rows were left out" in report["error"]["message"]
    (kind,) = report["left_out"]
    assert kind["reason"].startswith(reason)
    assert (kind["count"], kind["first_rows"], kind["first_lines"]) == (9, [2, 3, 4], [3, 4, 5])
    assert kind["example"] == example
    text = check(file, mapping, text=True)
    assert "9 of 10 rows were left out" in text.err
    assert "10 read, 1 fit to be sent, 9 left out" in text.out


def test_nothing_that_could_be_taken_is_an_error_whatever_is_allowed(tmp_path: Path, mapping: str) -> None:
    file = write_csv(tmp_path / "table.csv", rows(4, amount="much"))
    assert check(file, mapping, ["--allow-rejected", "100%"]).code == 6
    empty = tmp_path / "empty.csv"
    empty.write_text(",".join(HEADER) + "\n")
    assert "has no rows" in check(empty, mapping).err


@pytest.mark.parametrize(
    ("bad", "allowed", "code"), [(1, None, 0), (2, None, 6), (2, "2%", 0), (3, "2", 6), (1, "0", 6)]
)
def test_more_than_the_allowed_share_of_rejected_rows_is_an_error(
    tmp_path: Path, mapping: str, bad: int, allowed: str | None, code: int
) -> None:
    file = write_csv(tmp_path / "table.csv", rows(100, amount=lambda n: "x" if n < bad else "1"))
    assert check(file, mapping, ["--allow-rejected", allowed] if allowed else []).code == code


def test_a_reason_s_hint_is_given_only_if_it_helps(tmp_path: Path, mapping: str) -> None:
    mixed = write_csv(tmp_path / "t.csv", rows(3, amount=lambda n: ("x", "inf", "0")[n]))
    zero = write_csv(tmp_path / "z.csv", rows(3, amount="0"))
    few = write_csv(tmp_path / "f.csv", rows(100, amount=lambda n: "0" if n < 3 else "x" if n == 3 else "1"))
    for file in (mixed, zero):
        done = check(file, mapping)
        assert (done.code, "zero: leave_out" in done.err) == (6, False)
        assert "amount_minor is zero" in done.err
    assert "zero: leave_out" in check(few, mapping).err
    assert check(few, mapping, ["--allow-rejected", "0"]).report["error"]["hint"].startswith("correct the")


def test_what_the_mapping_leaves_out_has_no_hint(tmp_path: Path) -> None:
    amount = {"column": "amount", "times": 100, "negative": "leave_out", "zero": "leave_out"}
    table = rows(9, amount=lambda n: ("1", "0", "-1")[n % 3])
    done = mapped(tmp_path, table, generic(amount_minor=amount))
    assert [(reason["chosen"], reason["hint"]) for reason in done.report["left_out"]] == [(True, "")] * 2


@pytest.mark.parametrize("again", ["id,ts,card,shop,amount,fraud", "\ufeffid, ts,card,shop,amount,fraud "])
def test_a_header_in_the_middle_is_told_as_such(tmp_path: Path, mapping: str, again: str) -> None:
    file = tmp_path / "t.csv"
    body = text_of(rows(5)).partition("\n")[2]
    file.write_text(text_of(rows(5)) + again + "\n" + body)
    done = check(file, mapping)
    assert done.reasons == {"the row is the header again": 1}
    assert done.report["left_out"][0]["first_lines"] == [7]
    assert "remove this line" in done.err


@pytest.mark.parametrize("extra", ["one,two", "1,2,3,4,5,6,7", "t,2024-05-01,c,s,1,0,"])
def test_rows_with_another_number_of_fields_are_left_out(tmp_path: Path, mapping: str, extra: str) -> None:
    file = tmp_path / "table.csv"
    file.write_text(text_of(rows(5)) + extra + "\n" + text_of(rows(5)).partition("\n")[2])
    done = check(file, mapping, ["--allow-rejected", "10"])
    assert done.reasons == {"the row has another number of fields than the header": 1}
    assert done.report["left_out"][0]["first_lines"] == [7]
    assert done.report["rows_taken"] == 10


def test_a_card_number_is_not_shown_in_an_example(tmp_path: Path) -> None:
    document = generic(country="card")
    done = mapped(tmp_path, rows(3, card="4000001234567899"), document)
    assert "4000001234567899" not in done.out + done.err
    assert "400000******7899" in done.out


# Labels are compared by value.


@pytest.mark.parametrize("spelling", ["1", "1.0", "true", "True", "TRUE", " 1", "1 ", "01", "1e0", "+1"])
def test_spellings_of_one_are_fraud(tmp_path: Path, mapping: str, spelling: str) -> None:
    file = write_csv(tmp_path / "table.csv", rows(4, fraud=lambda n: spelling if n else "0"))
    report = check(file, mapping).report
    assert (report["fraud"], report["labels_unclear"]) == (3, 0)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, False, True], pyarrow.bool_()),
        ([1.0, 0.0, 1.0], pyarrow.float64()),
        ([1.0, -0.0, 1.0], pyarrow.float32()),
        ([1, 0, 1], pyarrow.int8()),
        ([Decimal("1.00"), Decimal("0.00"), Decimal("1.00")], pyarrow.decimal128(5, 2)),
        (["1", "0", "true"], pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
        ([b"1", b"0", b"True"], pyarrow.binary()),
    ],
)
def test_typed_labels_are_compared_by_value(
    tmp_path: Path, mapping: str, values: list[Any], kind: Any
) -> None:
    table = rows(3, fraud=lambda n: values[n])
    report = check(write_parquet(tmp_path / "t.parquet", table, {"fraud": kind}), mapping).report
    assert (report["fraud"], report["labels_unclear"]) == (2, 0)


@pytest.mark.parametrize(
    ("label", "values", "fraud", "unclear"),
    [
        ({"fraud": ["1"]}, ["1", "0", "", "Yes"], 1, 2),
        ({"fraud": ["Yes"]}, ["yes", "No", "Maybe"], 1, 1),
        ({"fraud": ["chargeback"], "genuine": ["ok"]}, ["Chargeback", "OK", "late", "ok"], 1, 1),
        ({"fraud": [True]}, ["1", "False", "2"], 1, 1),
        ({"fraud": [1, 2], "genuine": [0]}, ["2.0", "1", "3", "0"], 2, 1),
    ],
)
def test_a_label_that_is_neither_is_counted_and_told(
    tmp_path: Path, label: dict[str, Any], values: list[str], fraud: int, unclear: int
) -> None:
    table = rows(len(values), fraud=lambda n: values[n])
    done = mapped(tmp_path, table, generic({"column": "fraud"} | label))
    assert done.code == 6
    assert f"{unclear} of {len(values)} labels" in done.err
    assert (done.report["fraud"], done.report["labels_unclear"]) == (fraud, unclear)
    assert sum(reason["count"] for reason in done.report["unclear_labels"]) == unclear


@pytest.mark.parametrize(
    ("unclear", "allowed", "code"), [(1, None, 0), (2, None, 6), (50, None, 6), (50, "50%", 0), (1, "0", 6)]
)
def test_more_unclear_labels_than_allowed_are_an_error(
    tmp_path: Path, mapping: str, unclear: int, allowed: str | None, code: int
) -> None:
    file = write_csv(tmp_path / "t.csv", rows(100, fraud=lambda n: "Y" if n < unclear else "0"))
    done = check(file, mapping, ["--allow-rejected", allowed] if allowed else [])
    assert (done.code, done.report["labels_unclear"], done.report["fraud"]) == (code, unclear, 0)
    if code:
        assert f"{unclear} of 100 labels" in done.err
        assert "'Y'" in done.err
        assert "name it in the mapping" in done.err


def test_empty_labels_are_an_error_unless_the_mapping_says_what_they_mean(tmp_path: Path) -> None:
    table = rows(10, fraud=lambda n: "" if n % 2 else "1")
    done = mapped(tmp_path, table, generic({"column": "fraud", "fraud": ["1"], "genuine": ["0"]}))
    assert done.code == 6
    assert 'genuine: ["0", ""]' in done.err
    done = mapped(tmp_path, table, generic({"column": "fraud", "fraud": ["1"], "genuine": ["0", ""]}))
    assert (done.code, done.report["fraud"], done.report["labels_unclear"]) == (0, 5, 0)


def test_a_column_without_any_label_is_an_error(tmp_path: Path) -> None:
    done = mapped(tmp_path, rows(3), generic({"column": "shop", "fraud": ["1"]}))
    assert done.code == 6
    assert "no label could be read" in done.err


def test_a_file_without_labels_is_sent_without(tmp_path: Path) -> None:
    document = {key: value for key, value in generic().items() if key != "label"}
    table = [{key: value for key, value in row.items() if key != "fraud"} for row in rows(3)]
    report = mapped(tmp_path, table, document).report
    assert (report["rows_taken"], report["fraud"], report["labels_unclear"]) == (3, 0, 0)


# A file that breaks off half-way: what was read counts, and the place is named.


def _bad_byte(folder: Path) -> Path:
    text = text_of(rows(3000)).encode().replace(b"t2500,2024-05-01T10:41:40,c1,shop-0", b"t2500,x,c1,Caf\xe9")
    (folder / "t.csv").write_bytes(text)
    return folder / "t.csv"


def _cut_gzip(folder: Path) -> Path:
    random = rows(3000, shop=lambda n: f"{n * 7919 % 1_000_003:06d}")
    packed = gzip.compress(text_of(random).encode())
    (folder / "t.csv.gz").write_bytes(packed[:-9])
    return folder / "t.csv.gz"


def _wrong_sum(folder: Path) -> Path:
    packed = bytearray(gzip.compress(text_of(rows(3000)).encode()))
    packed[-6] ^= 1
    (folder / "t.csv.gz").write_bytes(packed)
    return folder / "t.csv.gz"


def _endless_line(folder: Path) -> Path:
    (folder / "t.csv").write_text(text_of(rows(3000)) + "x" * (LONGEST_LINE + (1 << 17)))
    return folder / "t.csv"


def _damaged_page(folder: Path) -> Path:
    file = write_parquet(folder / "t.parquet", rows(3000), row_group_size=1000, compression="snappy")
    column = pyarrow.parquet.ParquetFile(file).metadata.row_group(2).column(3)
    begin, data = column.data_page_offset, bytearray(file.read_bytes())
    data[begin : begin + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    file.write_bytes(data)
    return file


@pytest.mark.parametrize(
    ("make", "least", "words"),
    [
        (_bad_byte, 2500, "line 2,502 is not text in utf-8: byte 0xe9"),
        (_cut_gzip, 2900, "cannot be read beyond line"),
        (_wrong_sum, 2900, "cannot be read beyond line"),
        (_endless_line, 3000, "line 3,002 has more than 16,777,216 characters"),
        (_damaged_page, 2000, "row group 3 of 3 cannot be read beyond row 2,000"),
    ],
)
def test_a_file_that_breaks_off_is_counted_up_to_there(
    tmp_path: Path, mapping: str, make: Callable[[Path], Path], least: int, words: str
) -> None:
    done = check(make(tmp_path), mapping)
    assert done.code == 6
    assert words in done.err
    assert least <= done.report["rows_taken"] == done.report["next_row"] <= 3000
    assert words in done.report["error"]["message"]


# An unclosed quotation is an error with its line.


@pytest.mark.parametrize(
    ("number", "shop", "later", "line"),
    [
        (20, '"Jo', "", 22),
        (20, '"Jo', '"Ann, Ltd"', 22),
        (0, '"', "", 2),
        (20, '"Jo"e', "", 22),
        (299, '"x', "", 301),
    ],
)
def test_a_quotation_that_does_not_end_is_named_with_its_line(
    tmp_path: Path, mapping: str, number: int, shop: str, later: str, line: int
) -> None:
    lines = text_of(rows(300)).splitlines()
    fields = lines[number + 1].split(",")
    lines[number + 1] = ",".join([*fields[:3], shop, *fields[4:]])
    if later:
        fields = lines[200].split(",")
        lines[200] = ",".join([*fields[:3], later, *fields[4:]])
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    done = check(tmp_path / "t.csv", mapping)
    assert done.code == 6
    assert f"the quotation that begins in line {line:,} " in done.err
    assert done.report["rows_taken"] == number


def test_marks_that_do_not_quote_are_text_if_the_mapping_says_so(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text_of(rows(30)).replace("shop-3", '5" pipe').replace("shop-4", '"Jo'))
    document = generic() | {"table": {"quote": ""}}
    assert check(file, write_mapping(tmp_path / "m.yaml", document)).report["rows_taken"] == 30


def test_a_line_break_within_a_quotation_is_part_of_the_value(tmp_path: Path, mapping: str) -> None:
    table = rows(5, shop=lambda n: "two\r\nlines" if n == 1 else "s", amount=lambda n: "x" if n == 3 else "1")
    done = check(write_csv(tmp_path / "t.csv", table), mapping, ["--allow-rejected", "50"])
    assert done.report["rows_taken"] == 4
    assert done.report["left_out"][0]["first_lines"] == [6]


# Parquet is read by the types of its columns.


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_timestamps_of_every_unit_are_times(
    tmp_path: Path, mapping: str, unit: str, zone: str | None
) -> None:
    base = 1_700_000_000 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    odd = 1 if unit == "ns" else 0
    table = rows(3, ts=lambda n: base + n + odd)
    file = write_parquet(tmp_path / "t.parquet", table, {"ts": pyarrow.timestamp(unit, zone)})
    assert check(file, mapping).report["rows_taken"] == 3


def test_days_are_times(tmp_path: Path, mapping: str) -> None:
    file = write_parquet(tmp_path / "t.parquet", rows(3, ts=lambda n: 19_000 + n), {"ts": pyarrow.date32()})
    assert check(file, mapping).report["rows_taken"] == 3


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"shop": lambda n: {"a": n}}, pyarrow.struct([("a", pyarrow.int64())]), "'shop'"),
        ({"shop": lambda n: [n]}, pyarrow.list_(pyarrow.int64()), "'shop'"),
        ({"shop": lambda n: [("k", n)]}, pyarrow.map_(pyarrow.string(), pyarrow.int64()), "'shop'"),
        ({"shop": lambda n: timedelta(n)}, pyarrow.duration("s"), "'shop'"),
    ],
)
def test_columns_of_which_no_field_is_made_are_refused_by_name(
    tmp_path: Path, mapping: str, change: dict[str, Any], kind: Any, words: str
) -> None:
    done = check(write_parquet(tmp_path / "t.parquet", rows(3, **change), {"shop": kind}), mapping)
    assert done.code == 6
    assert words in done.err
    assert str(kind).partition("<")[0] in done.err


def test_bytes_without_the_mark_of_text_are_text_in_utf_8_or_left_out(tmp_path: Path, mapping: str) -> None:
    table = rows(3, shop=lambda n: (b"abc", "Café".encode(), b"\xff\xfe")[n])
    done = check(write_parquet(tmp_path / "t.parquet", table, {"shop": pyarrow.binary()}), mapping)
    assert done.reasons == {"merchant_id holds bytes that are not UTF-8": 1}
    assert done.report["rows_taken"] == 2


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, mapping: str, kind: str) -> None:
    file = tmp_path / f"t.{kind}"
    if kind == "csv":
        file.write_text("id,ts,card,shop,amount,fraud,amount \n" + "t,2024-05-01,c,s,1,0,2\n")
    else:
        names = [*HEADER, "amount"]
        pyarrow.parquet.write_table(
            pyarrow.Table.from_arrays([pyarrow.array(["1"])] * len(names), names=names), file
        )
    done = check(file, mapping)
    assert done.code == 6
    assert "more than one column 'amount'" in done.err


@pytest.mark.parametrize("kind", [pyarrow.float64(), pyarrow.float32()])
def test_card_numbers_that_a_float_has_rounded_are_left_out(tmp_path: Path, mapping: str, kind: Any) -> None:
    table = rows(2, card=lambda n: 1.2345678901234567e18 + n)
    done = check(write_parquet(tmp_path / "t.parquet", table, {"card": kind}), mapping)
    assert done.reasons == {"card_id is a number that was rounded": 2}


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: data[:50], lambda data: b"PAR1" + b"\0" * 99]
)
def test_damaged_parquet_is_named(tmp_path: Path, mapping: str, damage: Callable[[bytes], bytes]) -> None:
    file = write_parquet(tmp_path / "t.parquet", rows(30))
    file.write_bytes(damage(file.read_bytes()))
    done = check(file, mapping)
    assert done.code == 6
    assert "t.parquet is damaged" in done.err


# Mappings that say nothing, or contradict themselves, are refused before a row is read.


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"event_time": {"column": "ts", "times": 3600}}, "columns.event_time.times"),
        ({"event_time": {"column": "ts", "unit": "s", "format": "%Y"}}, "either `unit`"),
        ({"event_time": {"column": "ts", "origin": "2024-01-01T00:00:00Z"}}, "`origin` has no effect"),
        ({"event_time": {"column": "ts", "format": "%H:%M"}}, "names no year, month and day"),
        ({"event_time": {"column": "ts", "format": "%Y-%m-%d %Z"}}, "%Z"),
        ({"event_time": {"columns": ["ts", "id"], "unit": "s"}}, "`unit` is of one column"),
        ({"amount_minor": {"column": "amount", "hash": True}}, "columns.amount_minor.hash"),
        ({"amount_minor": {"column": "amount", "decimal": ",", "thousands": ","}}, "are both ','"),
        ({"amount_minor": {"value": "1", "default": "2"}}, "`default` has no effect"),
        ({"transaction_id": {"value": "same"}}, "columns.transaction_id.value"),
        ({"transaction_id": {"column": "id", "default": "same"}}, "columns.transaction_id.default"),
        ({"merchant_id": {"value": "s", "hash": True}}, "`hash` has no effect"),
        ({"merchant_id": {"value": "s", "map": {"a": "b"}}}, "`map` and `default` have no effect"),
        ({"card_id": {"row": True, "column": "card"}}, "not column and row together"),
        ({"category": {"column": "shop", "map": {"1": "Food", "1.0": "Retail"}}}, "are one value"),
    ],
)
def test_a_mapping_that_says_nothing_is_refused_by_key(
    tmp_path: Path, columns: dict[str, Any], words: str
) -> None:
    done = mapped(tmp_path, rows(3), generic(**columns))
    assert done.code == 3
    assert words in done.err


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    file = Path(write_mapping(tmp_path / "m.yaml", generic()))
    file.write_text(file.read_text() + "label: {column: shop, fraud: [Food]}\n")
    done = check(write_csv(tmp_path / "t.csv", rows(3)), str(file))
    assert done.code == 3
    assert 'the key "label" is given twice' in done.err


def test_a_label_that_is_both_is_refused(tmp_path: Path) -> None:
    done = mapped(tmp_path, rows(3), generic({"column": "fraud", "fraud": ["1"], "genuine": ["0", "1.0"]}))
    assert done.code == 3
    assert "fraud and genuine at once" in done.err


@pytest.mark.parametrize(
    ("columns", "place"),
    [
        ({"channel": {"value": "POS"}}, "columns.channel.value"),
        ({"channel": {"column": "shop", "default": "Online Shop"}}, "columns.channel.default"),
        ({"category": {"value": "Travel"}}, "columns.category.value"),
        ({"category": {"column": "shop", "map": {"Travel": "Reisen"}}}, "columns.category.map.Travel"),
        ({"country": {"value": "Germany"}}, "columns.country.value"),
        ({"country": {"column": "shop", "map": {"Deutschland": "D"}}}, "columns.country.map.Deutschland"),
        ({"merchant_id": {"value": "my shop"}}, "columns.merchant_id.value"),
        ({"merchant_id": {"column": "shop", "default": "?"}}, "columns.merchant_id.default"),
        ({"amount_minor": {"value": "0"}}, "columns.amount_minor.value"),
        ({"amount_minor": {"column": "amount", "default": "much"}}, "columns.amount_minor.default"),
        ({"card_id": {"value": "x" * 65}}, "columns.card_id.value"),
    ],
)
def test_a_value_that_no_event_may_hold_is_refused_with_the_mapping(
    tmp_path: Path, columns: dict[str, Any], place: str
) -> None:
    done = mapped(tmp_path, rows(3), generic(**columns))
    assert done.code == 3
    assert place in done.err
