"""The bytes of an event, and times as RFC 3339 text."""

import json
import re
from datetime import datetime

import pytest

from fraudctl.config.load import load
from fraudctl.events.codec import Transaction, encode, rfc3339
from fraudctl.events.schema import FIELDS, PATTERNS
from fraudctl.recount.parse import Rejected, parser

TRANSACTION = Transaction(
    transaction_id="0190-a",
    event_time="2026-03-01T12:30:00.250Z",
    card_id="card-1",
    merchant_id="merchant-1",
    category="Électroménager",
    amount_minor=1999,
    currency="EUR",
    country="FR",
    channel="chip",
)


def test_the_bytes_of_an_event() -> None:
    assert encode(TRANSACTION).decode() == (
        '{"schema_version":1,"transaction_id":"0190-a","event_time":"2026-03-01T12:30:00.250Z",'
        '"card_id":"card-1","merchant_id":"merchant-1","category":"Électroménager","amount_minor":1999,'
        '"currency":"EUR","country":"FR","channel":"chip"}'
    )


def test_fields_and_their_order_are_those_of_the_schema() -> None:
    assert list(json.loads(encode(TRANSACTION))) == list(FIELDS)


def test_the_recount_reads_what_the_codec_writes() -> None:
    settings = load(profile="local", flags={"events.categories": ["Électroménager"]} | WEIGHTS).settings
    assert not isinstance(parser(settings.events)(encode(TRANSACTION)), Rejected)


WEIGHTS = {"producer.category_weights": {"Électroménager": 1.0}}


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
    ],
)
def test_times(ms: int, text: str) -> None:
    assert rfc3339(ms) == text
    assert round(datetime.fromisoformat(text).timestamp() * 1000) == ms


def test_times_have_the_pattern_of_the_schema() -> None:
    assert re.fullmatch(PATTERNS["event_time"], rfc3339(1_772_368_200_007))
