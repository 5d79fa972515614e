"""Corners of the strict parser that are not messages: the JSON reader and the clock by themselves."""

import json
import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudctl.config.load import load
from fraudctl.recount.instants import hour_of_day, instant_text, parse_instant
from fraudctl.recount.parse import Rejected, Transaction, parser
from fraudctl.recount.strict_json import NOT_AN_INTEGER, read_object

EVENTS = load().settings.events


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("-0", 0), ("-1", -1), (str(2**63 - 1), 2**63 - 1), (str(-(2**63)), -(2**63))],
)
def test_integers_of_64_bits_are_read(text: str, number: int) -> None:
    assert read_object(f'{{"n": {text}}}'.encode(), 1000) == {"n": number}


@pytest.mark.parametrize("text", ["1.0", "1e0", "0e0", "-0.0", str(2**63), str(-(2**63) - 1), "9" * 900])
def test_other_numbers_are_no_integers(text: str) -> None:
    assert read_object(f'{{"n": {text}}}'.encode(), 1000) == {"n": NOT_AN_INTEGER}


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(value: bytes) -> None:
    assert isinstance(parser(EVENTS)(value), Rejected)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=20), st.text(max_size=20) | st.integers(-(2**63), 2**63 - 1), max_size=8)
)
def test_every_flat_object_is_read_back(document: dict[str, str | int]) -> None:
    text = json.dumps(document, ensure_ascii=False)
    assert read_object(text.encode(), len(text.encode())) == document
    assert read_object(text.encode(), len(text.encode()) - 1) is None


@settings(deadline=None)
@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)),
    st.integers(-14 * 60 - 59, 14 * 60 + 59),
)
def test_instants_equal_those_of_the_standard_library(moment: datetime, minutes: int) -> None:
    local = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (local - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert parse_instant(local.isoformat()) == expected
    assert hour_of_day(expected) == local.astimezone(UTC).hour
    assert datetime.fromisoformat(instant_text(expected)) == local


def test_an_instant_beyond_the_calendar_still_has_a_text() -> None:
    assert instant_text(10**18) == f"{10**18} microseconds since 1970"


def test_a_mutilated_message_never_becomes_another_transaction() -> None:
    """One byte changed: it is refused, or the field that holds the byte has changed and nothing else."""
    good = json.dumps(
        {
            "schema_version": 1,
            "transaction_id": "t-1",
            "event_time": "2026-03-10T12:00:00.000Z",
            "card_id": "c-1",
            "merchant_id": "m-1",
            "category": "Food",
            "amount_minor": 1250,
            "currency": "EUR",
            "country": "DE",
            "channel": "pos",
        }
    ).encode()
    parse = parser(EVENTS)
    original = parse(good)
    assert isinstance(original, Transaction)
    chance = random.Random(7)
    for place in range(len(good)):
        for byte in chance.sample(range(256), 24):
            changed = parse(good[:place] + bytes([byte]) + good[place + 1 :])
            if isinstance(changed, Transaction):
                assert sum(a != b for a, b in zip(original, changed, strict=True)) <= 1
