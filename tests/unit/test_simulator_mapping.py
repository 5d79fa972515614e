"""Somebody else's rows as transactions: known data sets fit, and what cannot be is named."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fraudctl.config.load import load
from fraudctl.config.preset_file import mapping_names, read_mapping_document
from fraudctl.errors import ConfigError
from fraudctl.events.codec import encode, rfc3339
from fraudctl.recount.parse import Transaction, parser
from fraudctl.simulator.mapper import MappedRow, Mapper
from fraudctl.simulator.mapping import parse_mapping
from fraudctl.tables.cells import Moment
from fraudctl.tables.rejection import RejectedRowError

SETTINGS = load(profile="local").settings
SPARKOV = {
    "trans_date_trans_time": "2019-01-01 00:00:18",
    "cc_num": "2703186189652095",
    "merchant": "fraud_Rippin, Kub and Mann",
    "category": "misc_net",
    "amt": "4.97",
    "trans_num": "0b242abb623afc578575680df30655b9",
    "is_fraud": "0",
}
IEEE = {
    "TransactionID": 2987000,
    "isFraud": 1,
    "TransactionDT": 86400,
    "TransactionAmt": 68.5,
    "ProductCD": "W",
    "card1": 13926,
}
MINE: dict[str, Any] = {
    "description": "mine",
    "columns": {
        "event_time": "when",
        "card_id": "card",
        "merchant_id": {"value": "shop"},
        "amount_minor": "cents",
        "category": {"value": "Food"},
        "country": {"value": "DE"},
        "channel": {"value": "chip"},
    },
}
ROW = {"when": "2026-03-01T12:00:00+01:00", "card": "c-1", "cents": "1250"}


def mapped(document: dict[str, Any], row: dict[str, Any], number: int = 0) -> MappedRow:
    return mapper(document).row(number, row)


def mapper(document: dict[str, Any], key: bytes = b"k" * 32) -> Mapper:
    return Mapper(parse_mapping(document), SETTINGS.events, "file", key)


def test_a_row_of_sparkov() -> None:
    row = mapped(read_mapping_document("sparkov"), SPARKOV)
    assert row.event_ms == int(datetime(2019, 1, 1, 0, 0, 18, tzinfo=UTC).timestamp()) * 1000
    assert not row.fraud
    event = row.event
    assert (event.amount_minor, event.category, event.channel) == (497, "Electronics", "ecom")
    # What was changed to fit ends with a digest of what it was.
    assert event.merchant_id.startswith("fraud_Rippin-Kub-and-Mann.")
    other = mapped(read_mapping_document("sparkov"), SPARKOV | {"merchant": "fraud_Rippin Kub and Mann"})
    assert other.event.merchant_id != event.merchant_id
    assert event.transaction_id == SPARKOV["trans_num"]


def test_a_row_of_ieee() -> None:
    row = mapped(read_mapping_document("ieee"), IEEE)
    assert rfc3339(row.event_ms) == "2017-12-02T00:00:00.000Z"
    assert row.fraud
    assert (row.event.transaction_id, row.event.amount_minor) == ("2987000", 6850)


@pytest.mark.parametrize(("name", "row"), [("sparkov", SPARKOV), ("ieee", IEEE)])
def test_the_independent_parser_takes_them(name: str, row: dict[str, Any]) -> None:
    event = mapped(read_mapping_document(name), row).event
    value = json.dumps(json.loads(encode(event)) | {"event_time": rfc3339(1_790_000_000_000)}).encode()
    assert isinstance(parser(SETTINGS.events)(value), Transaction)


def test_a_card_number_never_goes_into_an_event() -> None:
    event = mapped(read_mapping_document("sparkov"), SPARKOV).event
    assert SPARKOV["cc_num"].encode() not in encode(event)
    assert event.card_id == mapped(read_mapping_document("sparkov"), SPARKOV | {"amt": "1"}).event.card_id
    assert event.card_id != mapped(read_mapping_document("sparkov"), SPARKOV | {"cc_num": "4"}).event.card_id


@pytest.mark.parametrize("name", mapping_names())
def test_every_mapping_that_comes_along_is_valid(name: str) -> None:
    assert parse_mapping(read_mapping_document(name)).label


def test_rows_without_an_id_are_numbered() -> None:
    ids = [mapped(MINE, ROW, number).event.transaction_id for number in (0, 1, 12_345)]
    assert ids == ["file-0000000000", "file-0000000001", "file-0000012345"]


def test_times_may_have_a_zone_or_be_ready_made() -> None:
    assert rfc3339(mapped(MINE, ROW).event_ms) == "2026-03-01T11:00:00.000Z"
    moment = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    cell = Moment(round(moment.timestamp() * 1_000_000))
    assert rfc3339(mapped(MINE, ROW | {"when": cell}).event_ms) == "2026-03-01T12:00:00.250Z"


@pytest.mark.parametrize(("amount", "minor"), [("0.005", 1), ("12.345", 1235), ("1e2", 10000), (12.5, 1250)])
def test_amounts_are_exact(amount: object, minor: int) -> None:
    document = MINE | {"columns": MINE["columns"] | {"amount_minor": {"column": "cents", "times": 100}}}
    assert mapped(document, ROW | {"cents": amount}).event.amount_minor == minor


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cents": "-5"}, "is negative"),
        ({"cents": "abc"}, "not a number"),
        ({"cents": "NaN"}, "not a number"),
        ({"cents": "Infinity"}, "not a number"),
        ({"cents": ""}, "amount_minor is empty"),
        ({"cents": None}, "amount_minor is empty"),
        ({"when": "yesterday"}, "event_time is not of the form"),
        ({"card": b"\xff"}, "bytes that are not UTF-8"),
        ({"card": "4.5E+15"}, "was rounded"),
    ],
)
def test_a_row_that_cannot_be_a_transaction_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RejectedRowError, match=words):
        mapped(MINE, ROW | change)


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("category", "Nowhere", "none of events.categories"),
        ("country", "Germany", "country is not two capital letters"),
        ("channel", "Chip!", "channel is not small letters, digits and underscores"),
    ],
)
def test_a_value_out_of_bounds_is_named(field: str, text: str, words: str) -> None:
    with pytest.raises(RejectedRowError, match=words):
        mapped(MINE | {"columns": MINE["columns"] | {field: "given"}}, ROW | {"given": text})


def test_texts_that_are_changed_to_fit_stay_apart() -> None:
    texts = ["a b", "a-b", "a_b", " a b", "a  b", "-5", "5", "§§", "§", "x" * 64, "x" * 65, "x" * 66, "a.b"]
    changed = mapped(MINE, ROW | {"card": "a b"}).event.card_id
    texts.append(changed)  # a text that looks like the changed form of another one
    ids = [mapped(MINE, ROW | {"card": text}).event.card_id for text in texts]
    assert len(set(ids)) == len(texts)
    assert ids[1] == "a-b"
    assert ids[9] == "x" * 64
    assert ids[4] == mapped(MINE, ROW | {"card": "a  b"}).event.card_id


@pytest.mark.parametrize("hashed", [False, True])
def test_columns_that_are_put_together_stay_apart(hashed: bool) -> None:
    source = {"columns": ["user", "card"], "hash": hashed}
    document = MINE | {"columns": MINE["columns"] | {"card_id": source}}
    pairs = [
        ("1", "12"),
        ("11", "2"),
        ("a-b", "c"),
        ("a", "b-c"),
        ("a-", "b"),
        ("a", "-b"),
    ]
    ids = [mapped(document, ROW | {"user": user, "card": card}).event.card_id for user, card in pairs]
    assert len(set(ids)) == len(pairs)
    if not hashed:
        assert ids[0] == "1-12"


@pytest.mark.parametrize("field", ["card_id", "merchant_id", "transaction_id"])
@pytest.mark.parametrize("row", [{"user": "", "card": "c"}, {"user": "u", "card": None}])
def test_a_part_that_is_empty_is_named_and_the_others_identify_nothing(
    field: str, row: dict[str, Any]
) -> None:
    document = MINE | {"columns": MINE["columns"] | {field: {"columns": ["user", "card"]}}}
    if field == "merchant_id":
        document["columns"]["card_id"] = {"row": True}
    name = next(key for key, part in row.items() if not part)
    with pytest.raises(RejectedRowError, match=rf"^{field}: the column '{name}' is empty"):
        mapped(document, ROW | row)


def test_a_part_of_a_time_that_is_empty_is_named() -> None:
    source = {"columns": ["day", "hour"], "format": "%Y-%m-%d %H:%M"}
    document = MINE | {"columns": MINE["columns"] | {"event_time": source}}
    with pytest.raises(RejectedRowError, match=r"^event_time: the column 'hour' is empty"):
        mapped(document, ROW | {"day": "2026-03-01", "hour": ""})


@pytest.mark.parametrize(
    "text",
    [
        *("NA", "n/a", "NaN", "NaT", "NULL", "None", "nil", "\\N", "inf", "-Infinity", "(blank)"),
        *("#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#N/A"),
        *("#BEZUG!", "#NV", "#\u00a1VALOR!", "#\u00bfNOMBRE?", "#N/D", "########", "#"),
        *("-", "--", "\u2014", ".", "...", "?", "???", " - "),
    ],
)
def test_a_text_that_says_that_there_is_no_value_identifies_nothing(text: str) -> None:
    for field in ("card_id", "merchant_id", "transaction_id"):
        document = MINE | {"columns": MINE["columns"] | {field: "given"}}
        with pytest.raises(RejectedRowError, match=f"{field} says that it has no value"):
            mapped(document, ROW | {"given": text})


@pytest.mark.parametrize("text", ["Nando", "nanny", "A-1", "#1 Diner!x", "null-5", "Jeopardy?", "No. 5"])
def test_a_name_that_only_resembles_such_a_text_stays(text: str) -> None:
    document = MINE | {"columns": MINE["columns"] | {"merchant_id": "shop"}}
    assert mapped(document, ROW | {"shop": text}).event.merchant_id


def test_a_shop_that_is_really_called_so_is_named_in_the_mapping() -> None:
    source = {"column": "shop", "map": {"NA": "NA-shop", "-": "dash"}}
    document = MINE | {"columns": MINE["columns"] | {"merchant_id": source}}
    shops = [mapped(document, ROW | {"shop": shop}).event.merchant_id for shop in ("NA", "-", "x")]
    assert shops == ["NA-shop", "dash", "x"]
    with pytest.raises(RejectedRowError, match="says that it has no value"):
        mapped(document, ROW | {"shop": "null"})


@pytest.mark.parametrize("text", ["3.57E+15", "3,57e+15", "3.57E15", "4E+15", "-1.2e+18"])
def test_a_rounded_number_identifies_nothing(text: str) -> None:
    with pytest.raises(RejectedRowError, match="was rounded"):
        mapped(MINE, ROW | {"card": text})


@pytest.mark.parametrize("text", ["12e5", "7e12", "3.57", "1E", "E+15"])
def test_what_only_looks_a_little_like_a_rounded_number_stays(text: str) -> None:
    assert mapped(MINE, ROW | {"card": text}).event.card_id.startswith(text[:1])


def test_texts_of_identifiers_are_replaced_by_the_very_text() -> None:
    source = {"column": "card", "map": {"12": "twelve"}}
    document = MINE | {"columns": MINE["columns"] | {"card_id": source}}
    ids = [mapped(document, ROW | {"card": card}).event.card_id for card in ("12", "0012", 12)]
    assert ids == ["twelve", "0012", "twelve"]


def test_equal_numbers_are_one_identity_whatever_their_type() -> None:
    ids = {mapped(MINE, ROW | {"card": card}).event.card_id for card in (13926, 13926.0, "13926")}
    assert ids == {"13926"}


def test_a_card_s_digest_needs_the_key() -> None:
    document = MINE | {"columns": MINE["columns"] | {"card_id": {"column": "card", "hash": True}}}
    one, same, other = (
        mapper(document, key).row(0, ROW).event.card_id for key in (b"a" * 32, b"a" * 32, b"b" * 32)
    )
    assert one == same != other
    assert hashlib.sha256(ROW["card"].encode()).hexdigest()[:20] not in one


def test_a_default_is_for_what_is_empty_or_not_named() -> None:
    columns = MINE["columns"] | {
        "merchant_id": {"column": "shop", "default": "none"},
        "category": {"column": "kind", "default": "Retail"},
        "channel": {"column": "way", "default": "chip", "map": {"web": "ecom"}},
    }
    given = {"shop": "s", "kind": "Food", "way": "pos"}
    event = mapped(MINE | {"columns": columns}, ROW | given).event
    assert (event.merchant_id, event.category, event.channel) == ("s", "Food", "chip")
    event = mapped(MINE | {"columns": columns}, ROW | {"shop": "", "kind": "Travel", "way": "web"}).event
    assert (event.merchant_id, event.category, event.channel) == ("none", "Retail", "ecom")


@pytest.mark.parametrize(
    ("columns", "place"),
    [
        ({"card_id": {"column": "a", "value": "b"}}, "columns.card_id"),
        ({"card_id": {}}, "columns.card_id"),
        ({"cards": "a"}, "columns.cards"),
        ({"event_time": {"column": "a", "unit": "weeks"}}, "columns.event_time"),
    ],
)
def test_a_wrong_mapping_is_refused(columns: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_mapping(MINE | {"columns": MINE["columns"] | columns})
    assert place in caught.value.detail
