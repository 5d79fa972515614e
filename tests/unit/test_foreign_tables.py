"""Tables as people have them: what fits is read, what does not is named and counted."""

import bz2
import gzip
import lzma
import os
import re
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import yaml

from fraudctl.config.load import load
from fraudctl.simulator.mapping import AmountSource, TimeSource, check_mapping, parse_mapping
from fraudctl.tables.amounts import amount_minor
from fraudctl.tables.rejection import RejectedRowError
from fraudctl.tables.times import moment_ms
from tests.foreign_tables import (
    HEADER,
    Checked,
    check,
    generic,
    rows,
    text_of,
    write_csv,
    write_mapping,
    write_parquet,
)

Table = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FRAUDCTL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    return write_mapping(tmp_path / "generic.yaml", generic())


def mapped(folder: Path, table: Table, document: dict[str, Any], *arguments: str) -> Checked:
    return check(
        write_csv(folder / "table.csv", table), write_mapping(folder / "own.yaml", document), arguments
    )


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
    assert done.code == 0
    assert (done.report["fraud"], done.report["labels_unclear"]) == (fraud, unclear)
    assert sum(reason["count"] for reason in done.report["unclear_labels"]) == unclear


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
    (folder / "t.csv").write_text(text_of(rows(3000)) + "x" * (2 << 20))
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
        (_cut_gzip, 1000, "cannot be read beyond line"),
        (_wrong_sum, 1000, "cannot be read beyond line"),
        (_endless_line, 3000, "line 3,002 has more than 1,048,576 characters"),
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
    assert "'label'" in done.err


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


# Layouts.


def _packed(name: str, pack: Callable[[bytes], bytes]) -> Callable[[Path, Table], Path]:
    def write(folder: Path, table: Table) -> Path:
        (folder / name).write_bytes(pack(text_of(table).encode()))
        return folder / name

    return write


def _zipped(folder: Path, table: Table) -> Path:
    with zipfile.ZipFile(folder / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", "")
        archive.writestr("__MACOSX/._t.csv", "x")
        archive.writestr("folder/t.csv", text_of(table))
    return folder / "t.zip"


def _coded(encoding: str, mark: bytes = b"") -> Callable[[Path, Table], Path]:
    def write(folder: Path, table: Table) -> Path:
        (folder / "t.csv").write_bytes(mark + text_of(table).encode(encoding))
        return folder / "t.csv"

    return write


def _delimited(delimiter: str, begin: str = "", end: str = "\n") -> Callable[[Path, Table], Path]:
    def write(folder: Path, table: Table) -> Path:
        (folder / "t.txt").write_bytes((begin + text_of(table, delimiter, end=end)).encode())
        return folder / "t.txt"

    return write


@pytest.mark.parametrize(
    "write",
    [
        _packed("t.csv.gz", gzip.compress),
        _packed("t.csv.bz2", bz2.compress),
        _packed("t.csv.xz", lzma.compress),
        _packed("misnamed.csv", gzip.compress),
        _zipped,
        _coded("utf-8-sig"),
        _coded("utf-16"),
        _coded("utf-16-be", b"\xfe\xff"),
        _coded("utf-16-le"),
        _coded("utf-16-be"),
        _coded("utf-32"),
        *[_delimited(delimiter) for delimiter in ",;\t|"],
        _delimited("#", "sep=#\n"),
        _delimited(",", "sep=,\r\n", "\r\n"),
        _delimited(";", "\n\n"),
        _delimited(",", end="\r"),
    ],
)
def test_layouts_are_recognised(tmp_path: Path, mapping: str, write: Callable[[Path, Table], Path]) -> None:
    table = rows(200, shop=lambda n: f"Café; {n}, und | Söhne\t#")
    done = check(write(tmp_path, table), mapping)
    assert (done.code, done.report["rows_taken"], done.report["fraud"]) == (0, 200, 20), done.err


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("latin-1", "~"), ("cp1252", "^"), ("iso8859-15", "tab"), ("utf-16-le", ":")]
)
def test_layouts_are_told(tmp_path: Path, encoding: str, delimiter: str) -> None:
    plain = "\t" if delimiter == "tab" else delimiter
    table = rows(20, shop="Café", ts=lambda n: f"2024-05-{n + 1:02d}")
    file = write_csv(tmp_path / "t.csv", table, encoding, delimiter=plain)
    own = write_mapping(tmp_path / "m.yaml", generic())
    told = check(file, own, ["--delimiter", delimiter, "--encoding", encoding])
    assert told.report["rows_taken"] == 20
    document = generic() | {"table": {"delimiter": delimiter, "encoding": encoding}}
    assert check(file, write_mapping(tmp_path / "m2.yaml", document)).report == told.report | {
        "mapping": str(tmp_path / "m2.yaml")
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x28\xb5\x2f\xfd" + b"x" * 90, "zstd -d"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 90, "save the sheet as CSV"),
        (b"Obj\x01" + b"x" * 90, "Avro"),
        (bytes(range(256)), "neither a table of text nor Parquet"),
        (b"", "is empty"),
        (b"\n\n", "has no header"),
        (gzip.compress(b"PAR1" + b"x" * 90), "packed Parquet"),
    ],
)
def test_what_is_no_table_is_named_with_a_remedy(
    tmp_path: Path, mapping: str, content: bytes, words: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    done = check(tmp_path / "t.csv", mapping)
    assert done.code == 6
    assert words in done.err


def test_a_workbook_and_a_zip_of_several_files_are_named(tmp_path: Path, mapping: str) -> None:
    for name, members, words in (
        ("t.xlsx", ["[Content_Types].xml", "xl/workbook.xml"], "Excel workbook"),
        ("t.zip", ["a.csv", "b.csv"], "zip archive of 2 files"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member in members:
                archive.writestr(member, "x")
        done = check(tmp_path / name, mapping)
        assert done.code == 6
        assert words in done.err


@pytest.mark.parametrize(
    ("amount", "options", "minor"),
    [
        ("$1,128.71", {"currency_sign": "$", "thousands": ","}, 112871),
        ("1.128,71 €", {"currency_sign": "€", "thousands": ".", "decimal": ","}, 112871),
        ("CHF 1'128.71", {"currency_sign": "CHF", "thousands": "'"}, 112871),
        ("1\u202f128,71", {"thousands": "\u202f", "decimal": ","}, 112871),
        ("12,5", {"decimal": ","}, 1250),
        ("$-7.25", {"currency_sign": "$", "negative": "absolute"}, 725),
        ("-$7.25", {"currency_sign": "$", "negative": "absolute"}, 725),
        ("(7.25)", {"negative": "absolute"}, 725),
        ("7.25-", {"negative": "absolute"}, 725),
        ("1e2", {}, 10000),
        (".5", {}, 50),
        ("0.005", {}, 1),
        ("1,5", {"thousands": ","}, None),
        ("1,12.50", {"thousands": ","}, None),
        ("1_000", {}, None),
        ("\u0661\u0662", {}, None),
        ("0x10", {}, None),
        ("1e400", {}, None),
        ("1e999999999", {}, None),
        ("--5", {}, None),
        ("5 5", {}, None),
    ],
)
def test_amounts_are_read_as_the_mapping_says(
    tmp_path: Path, amount: str, options: dict[str, Any], minor: int | None
) -> None:

    form = AmountSource.model_validate({"column": "amount", "times": 100} | options).form
    if minor is None:
        with pytest.raises(RejectedRowError, match="is not a number"):
            amount_minor(amount, form)
    else:
        assert amount_minor(amount, form) == minor


def test_refunds_are_left_out_as_the_mapping_says(tmp_path: Path) -> None:
    table = rows(10, amount=lambda n: "-1.5" if n < 4 else "0" if n == 4 else "1")
    options = {"column": "amount", "times": 100, "negative": "leave_out", "zero": "leave_out"}
    done = mapped(tmp_path, table, generic(amount_minor=options))
    assert done.code == 0
    assert (done.report["rows_left_out"], done.report["rows_rejected"]) == (5, 0)
    assert done.reasons == {"amount_minor is negative": 4, "amount_minor is zero": 1}


# Public data sets are recognised by their headers.

SPARKOV = (
    ",trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,long,"
    "city_pop,job,dob,trans_num,unix_time,merch_lat,merch_long,is_fraud\n"
    '0,2019-01-01 00:00:18,2703186189652095,"fraud_Rippin, Kub",misc_net,4.97,J,B,F,1 R,T,NC,'
    "28654,36.0,-81.1,"
    "3495,P,1988-03-09,0b242abb,1325376018,36.0,-82.0,1\n"
)
SPARKOV_RAW = (
    "ssn|cc_num|first|last|gender|street|city|state|zip|lat|long|city_pop|job|dob|acct_num|profile|trans_num|"
    "trans_date|trans_time|unix_time|category|amt|is_fraud|merchant|merch_lat|merch_long\n"
    "0|4000000000000001|A|D|F|1 R|T|MI|48000|42.0|-83.0|6000|C|1991-01-01|1|a.json|b1|2023-01-05|00:10:20|"
    "1672877420|gas_transport|21.43|1|fraud_Delta Ltd|42.1|-83.1\n"
)
IEEE = (
    "TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1,card2\n2987000,1,86400,"
    "68.5,W,13926,\n"
)
PAYSIM = (
    "step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,"
    "isFlaggedFraud\n1,TRANSFER,181.0,C1305486145,181.0,0.0,C553264065,0.0,0.0,1,0\n"
    "2,CASH_IN,0.0,C1,1,1,M1,0,0,0,0\n"
)
TABFORMER = (
    "User,Card,Year,Month,Day,Time,Amount,Use Chip,Merchant Name,Merchant City,Merchant State,"
    "Zip,MCC,Errors?,"
    'Is Fraud?\n0,0,2002,9,1,06:21,"$1,134.09",Swipe Transaction,3527213246127876953,La Verne,'
    "CA,91750.0,5300,,"
    "Yes\n0,0,2002,9,1,06:42,$-38.48,Online Transaction,-727612092139916043,X,,,5411,,No\n"
)
ULB = (
    '"Time",' + ",".join(f'"V{n}"' for n in range(1, 29)) + ',"Amount","Class"\n'
    "0," + "-1.5," * 28 + '149.62,"1"\n'
)
BAF = (
    "fraud_bool,income,name_email_similarity,prev_address_months_count,"
    "current_address_months_count,customer_age,"
    "days_since_request,intended_balcon_amount,payment_type,zip_count_4w,velocity_6h,"
    "velocity_24h,velocity_4w,"
    "bank_branch_count_8w,date_of_birth_distinct_emails_4w,employment_status,credit_risk_score,email_is_free,"
    "housing_status,phone_home_valid,phone_mobile_valid,bank_months_count,has_other_cards,"
    "proposed_credit_limit,"
    "foreign_request,source,session_length_in_minutes,device_os,keep_alive_session,"
    "device_distinct_emails_8w,device_fraud_count,month\n"
    "1,0.3,0.98,-1,25,40,0.006,102.4,AA,1059,13096.0,7850.9,6742.0,5,5,CB,163,1,BC,0,1,9,0,1500.0,0,INTERNET,"
    "16.2,linux,1,1,0,7\n"
)


@pytest.mark.parametrize(
    ("name", "content", "left_out"),
    [
        ("sparkov", SPARKOV, 0),
        ("sparkov_raw", SPARKOV_RAW, 0),
        ("ieee", IEEE, 0),
        ("paysim", PAYSIM, 1),
        ("tabformer", TABFORMER, 1),
        ("ulb", ULB, 0),
        ("baf", BAF, 0),
    ],
)
def test_public_data_sets_are_recognised_by_their_header(
    tmp_path: Path, name: str, content: str, left_out: int
) -> None:
    (tmp_path / "t.csv").write_text(content)
    done = check(tmp_path / "t.csv")
    report = done.report
    assert (done.code, report["mapping"], report["rows_taken"], report["fraud"]) == (0, name, 1, 1)
    assert (report["rows_left_out"], report["rows_rejected"]) == (left_out, 0)


@pytest.mark.parametrize("arguments", [[], ["--mapping", "ieee"]])
def test_a_public_data_set_without_its_labels_is_recognised_and_told(
    tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "test_transaction.csv").write_text(IEEE.replace(",isFraud", "").replace("0,1,8", "0,8"))
    done = check(tmp_path / "test_transaction.csv", None, arguments)
    assert (done.code, done.report["mapping"], done.report["rows_taken"]) == (0, "ieee", 1)
    assert "no column 'isFraud'" in done.report["notes"][0]


def test_a_mapping_of_one_s_own_says_itself_that_there_are_no_labels(tmp_path: Path, mapping: str) -> None:
    table = [{key: value for key, value in row.items() if key != "fraud"} for row in rows(3)]
    done = check(write_csv(tmp_path / "t.csv", table), mapping)
    assert done.code == 2
    assert "leave `label` out" in done.err


def test_a_file_whose_name_is_no_text_is_read(tmp_path: Path, mapping: str) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    write_csv(file, rows(3))
    assert check(file, mapping).report["rows_taken"] == 3
    assert "3 fit to be sent" in check(file, mapping, text=True).out


def test_the_mapping_of_the_documents_is_valid() -> None:
    page = (Path(__file__).parents[2] / "docs" / "foreign-tables.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    check_mapping(parse_mapping(yaml.safe_load(block)), load(profile="local").settings.events)


def test_a_table_that_no_mapping_fits_is_told_with_its_columns(tmp_path: Path, mapping: str) -> None:
    done = check(write_csv(tmp_path / "t.csv", rows(3)))
    assert done.code == 2
    assert "id, ts, card, shop, amount, fraud" in done.err
    assert "sparkov" in done.err
    (tmp_path / "p.csv").write_text(PAYSIM)
    assert "--mapping paysim" in check(tmp_path / "p.csv", "ulb").err
    assert "lacks" in check(tmp_path / "p.csv", mapping).err


@pytest.mark.parametrize(
    "arguments",
    [["--delimiter", "ab"], ["--delimiter", ""], ["--encoding", "klingon"], ["--encoding", "base64"],
     ["--allow-rejected", "lots"], ["--allow-rejected", "101"], ["--allow-rejected", "-1"], ["--resume"]],
)  # fmt: skip
def test_options_without_a_meaning_are_refused(tmp_path: Path, mapping: str, arguments: list[str]) -> None:
    assert check(write_csv(tmp_path / "t.csv", rows(3)), mapping, arguments).code == 2


@pytest.mark.parametrize(
    ("source", "texts", "ms"),
    [
        ({"unit": "ns"}, "1700000000000000000", 1_700_000_000_000),
        ({"unit": "us"}, "1700000000000000", 1_700_000_000_000),
        ({"unit": "ms"}, "1700000000000", 1_700_000_000_000),
        ({"unit": "s"}, "1700000000.25", 1_700_000_000_250),
        ({"unit": "min", "origin": "2024-01-01T00:00:00Z"}, "2", 1_704_067_320_000),
        ({"unit": "h", "origin": "2024-01-01T00:00:00Z"}, "1.0", 1_704_070_800_000),
        ({"unit": "d", "origin": "2024-01-01T00:00:00Z"}, "1", 1_704_153_600_000),
        ({"unit": "months", "origin": "2024-01-01T00:00:00Z"}, "2", 1_704_067_200_000 + 60 * 86_400_000),
        ({}, "2024-01-01T00:00:00.5+01:00", 1_704_063_600_500),
        ({}, "2024-01-01 00:00:00 Z", 1_704_067_200_000),
        ({}, "2024-01-01T00:00:00.123456789Z", 1_704_067_200_123),
        ({"format": "%d.%m.%Y %H:%M"}, "31.12.2023 23:59", 1_704_067_140_000),
        ({}, "1704067200", None),
        ({}, "20240101", None),
        ({"unit": "s"}, "2024-01-01", None),
        ({"unit": "s"}, "1e30", None),
        ({"unit": "h"}, "nan", None),
        ({"format": "%Y-%m-%d"}, "2024-02-30", None),
    ],
)
def test_times_are_read_in_every_unit(source: dict[str, Any], texts: str, ms: int | None) -> None:

    time = TimeSource.model_validate({"column": "ts"} | source)
    if ms is None:
        with pytest.raises(RejectedRowError):
            moment_ms(texts, time.format, time.unit, time.origin)
    else:
        assert moment_ms(texts, time.format, time.unit, time.origin) == ms


def test_the_origin_is_when_a_count_of_hours_begins() -> None:

    origin = datetime.fromisoformat("2024-01-01T00:00:00Z")
    first, second = (moment_ms(step, None, "h", origin) for step in ("1", "2"))
    # At 3600x the second step comes a second after the first.
    assert (second - first) / 3600 == 1000
