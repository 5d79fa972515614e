"""Layouts that people have: delimiters, encodings, packed files, numbers, times and public data sets."""

import bz2
import gzip
import lzma
import os
import re
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from fraudctl import assets
from fraudctl.config.load import load
from fraudctl.errors import UsageError
from fraudctl.simulator.mapping import AmountSource, TimeSource, check_mapping, parse_mapping
from fraudctl.tables.amounts import amount_minor
from fraudctl.tables.layout import Layout
from fraudctl.tables.rejection import RejectedRowError
from fraudctl.tables.table import open_table
from fraudctl.tables.times import moment_ms
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

Table = list[dict[str, Any]]


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
        (b'{"id": 1}\n', "JSON"),
        (b'[{"id": 1}]', "JSON"),
        (b"<!DOCTYPE html>", "markup"),
        (gzip.compress(b"PAR1" + b"x" * 90, mtime=0), "packed Parquet"),
    ],
)
def test_what_is_no_table_is_named_with_a_remedy(
    tmp_path: Path, mapping: str, content: bytes, words: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    done = check(tmp_path / "t.csv", mapping)
    assert done.code == 6
    assert words in done.err


@pytest.mark.parametrize(
    ("kind", "words"),
    [("pipe", "is a pipe"), ("folder", "is a folder"), ("missing", "no file"), ("loop", "symbolic links")],
)
def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path: Path, kind: str, words: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match=words):
        open_table(tmp_path / kind, Layout())


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


def test_a_hint_about_a_mapping_that_comes_along_names_its_file(tmp_path: Path, mapping: str) -> None:
    (tmp_path / "t.csv").write_text(IEEE.replace(",1,86400", ",Y,86400"))
    done = check(tmp_path / "t.csv")
    assert done.code == 6
    path = assets.configs() / "mappings" / "ieee.yaml"
    assert path.is_absolute()
    for hint in (done.report["error"]["hint"], done.report["unclear_labels"][0]["hint"]):
        assert f"copy {path}, change the copy, and give it with --mapping" in hint
    own = check(write_csv(tmp_path / "own.csv", rows(3, fraud="Y")), mapping)
    assert "copy" not in own.report["error"]["hint"]


@pytest.mark.parametrize(
    ("amount", "note"),
    [
        ({"currency_sign": "$"}, "the sign '$'"),
        ({"currency_sign": "US$"}, "the sign 'US$'"),
        ({"currency_sign": "USD"}, "the sign 'USD'"),
        ({"currency_sign": "kr"}, "the sign 'kr'"),
        ({"currency": "USD"}, "currency USD"),
        ({"currency": "USD", "currency_sign": "€"}, "currency USD"),
        ({"currency": "EUR"}, ""),
        ({"currency_sign": "€"}, ""),
        ({"currency_sign": "EUR"}, ""),
        ({}, ""),
    ],
)
def test_amounts_of_another_currency_are_told(tmp_path: Path, amount: dict[str, Any], note: str) -> None:
    document = generic(amount_minor={"column": "amount", "times": 100} | amount)
    done = mapped(tmp_path, rows(3), document)
    assert done.code == 0
    if note:
        (told,) = done.report["notes"]
        assert told.startswith("amounts are sent as EUR (events.currency)")
        assert note in told
        text = check(tmp_path / "table.csv", str(tmp_path / "own.yaml"), text=True)
        assert f"note: {told}" in text.out
    else:
        assert done.report["notes"] == []


@pytest.mark.parametrize("content", [IEEE, SPARKOV, SPARKOV_RAW, TABFORMER])
def test_data_sets_in_dollars_are_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    assert "sent as EUR" in check(tmp_path / "t.csv").report["notes"][0]


@pytest.mark.parametrize("where", ["columns", "top"])
def test_the_key_currency_is_refused_with_the_setting_that_it_is(tmp_path: Path, where: str) -> None:
    document = generic(currency={"value": "USD"}) if where == "columns" else generic() | {"currency": "USD"}
    done = mapped(tmp_path, rows(3), document)
    assert done.code == 3
    assert "the setting events.currency" in done.err


def test_columns_in_another_spelling_are_named(tmp_path: Path, mapping: str) -> None:
    text = text_of(rows(3)).replace("id,ts,card", "ID,TS,Card", 1)
    (tmp_path / "t.csv").write_text(text)
    done = check(tmp_path / "t.csv", mapping)
    assert done.code == 2
    assert "lacks card, id, ts" in done.err
    assert "it has ID, TS, Card: names are compared with their case" in done.err
    (tmp_path / "p.csv").write_text(IEEE.replace("TransactionID", "transaction_id"))
    done = check(tmp_path / "p.csv")
    assert "its columns are those of ieee, with another spelling of transaction_id" in done.err


@pytest.mark.parametrize("title", ["Transactions of May\n", "Report;May\n\nmade by us\n", "a,b,c,d,e,f\n"])
def test_a_header_below_a_title_is_named_by_its_line(tmp_path: Path, mapping: str, title: str) -> None:
    line = title.count("\n") + 1
    (tmp_path / "t.csv").write_text(title + text_of(rows(3)))
    assert f"named in line {line}: remove what stands above" in check(tmp_path / "t.csv", mapping).err
    (tmp_path / "p.csv").write_text(title + IEEE)
    assert f"named in line {line}: remove what stands above" in check(tmp_path / "p.csv").err


def test_a_delimiter_is_no_remedy_for_parquet(tmp_path: Path, mapping: str) -> None:
    write_parquet(tmp_path / "t.parquet", [{"a": 1}])
    done = check(tmp_path / "t.parquet", mapping)
    assert "lacks" in done.err
    assert "--delimiter" not in done.err
    assert "--delimiter" not in check(tmp_path / "t.parquet").err


@pytest.mark.parametrize("speed", ["0x", "-5x"])
def test_a_speed_that_is_none_has_an_example(tmp_path: Path, mapping: str, speed: str) -> None:
    done = check(write_csv(tmp_path / "t.csv", rows(3)), mapping, ["--speed", speed])
    assert done.code == 2
    assert "hint: for example --speed 60x" in done.err


def test_a_mapping_of_one_s_own_says_itself_that_there_are_no_labels(tmp_path: Path, mapping: str) -> None:
    table = [{key: value for key, value in row.items() if key != "fraud"} for row in rows(3)]
    done = check(write_csv(tmp_path / "t.csv", table), mapping)
    assert done.code == 2
    assert "leave `label` out" in done.err


def test_a_table_without_a_header_shows_no_card_number(tmp_path: Path, mapping: str) -> None:
    (tmp_path / "t.csv").write_text(SPARKOV.partition("\n")[2])
    for done in (check(tmp_path / "t.csv"), check(tmp_path / "t.csv", mapping)):
        assert done.code == 2
        assert "2703186189652095" not in done.err


def test_a_file_whose_name_is_no_text_is_read(tmp_path: Path, mapping: str) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    write_csv(file, rows(3))
    assert check(file, mapping).report["rows_taken"] == 3
    assert "3 fit to be sent" in check(file, mapping, text=True).out


def test_the_mapping_of_the_documents_is_valid() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guides" / "own-data.md").read_text(encoding="utf-8")
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
