"""Why a record is refused, in words: the reason is the recount's own, the text names the field."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudctl.config.load import load
from fraudctl.events.card_numbers import mask
from fraudctl.recount.explain import explain
from tests.golden import MESSAGES, value_bytes

SETTINGS = load().settings
GOOD: dict[str, Any] = json.loads(MESSAGES[0]["value"])
ARRIVAL_MS: int = MESSAGES[0]["arrival_ms"]


def explained(value: bytes | None, arrival_ms: int = ARRIVAL_MS) -> tuple[str, str | None, str]:
    found = explain(value, arrival_ms, events=SETTINGS.events, lateness=SETTINGS.lateness)
    return found.reason, found.field, found.text


def changed(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case["name"])
def test_the_reason_is_the_one_of_the_golden_cases(case: dict[str, Any]) -> None:
    reason, field, text = explained(value_bytes(case), case["arrival_ms"])
    assert (reason or "admitted") == case["expect"]
    assert text
    if reason.startswith("invalid_"):
        assert reason == f"invalid_{field}"
        assert text.startswith(f"{field} is ")


@pytest.mark.parametrize(
    ("value", "field", "text"),
    [
        (None, None, "the record has no value"),
        (b"", None, "the record's value is empty"),
        (b"x" * 20_000, None, "the message has 20,000 bytes, and events.max_bytes allows 16,384"),
        (b'{"a": "\xff"}', None, "the message is not UTF-8: byte 0xff at position 7"),
        (b'{"a": 1', None, "the message is not JSON: expecting ',' delimiter at character 7"),
        (b'{"a": NaN}', None, "the JSON is not strict: NaN is not JSON"),
        (b'{"a": 1, "a": 1}', None, "the JSON is not strict: a key is given twice"),
        (b'{"a": "\\ud800"}', None, "the text holds half of a surrogate pair, which has no UTF-8 form"),
        (b"[1]", None, "the JSON is an array, not an object"),
        (b"null", None, "the JSON is null, not an object"),
        (b'{"schema_version": 1}', "transaction_id", "fields are missing: transaction_id, event_time, "),
        (changed(note="x"), None, 'fields that the schema does not have: "note"'),
        (changed(amount_minor="1"), "amount_minor", "amount_minor is a string, and must be an integer"),
        (
            changed(amount_minor=1.5),
            "amount_minor",
            "amount_minor is a number that is no 64-bit integer, and must be an integer",
        ),
        (changed(channel=True), "channel", "channel is a boolean, and must be a string"),
    ],
)
def test_what_is_malformed_is_named(value: bytes | None, field: str | None, text: str) -> None:
    reason, found, words = explained(value)
    assert (reason, found) == ("malformed", field)
    assert words.startswith(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (changed(category="Toys"), 'category is "Toys", must be one of Retail, Food, Electronics'),
        (changed(amount_minor=0), "amount_minor is 0, must be from 1 to 10,000,000,000"),
        (changed(currency="USD"), 'currency is "USD", must be EUR'),
        (
            changed(event_time="2026-02-30T00:00:00Z"),
            'event_time is "2026-02-30T00:00:00Z", a day or a time that does not exist',
        ),
        (changed(event_time="12:00"), 'event_time is "12:00", must be RFC 3339 with a zone'),
        (changed(card_id="4111111111111111 "), 'card_id is "411111******1111 ", must match '),
    ],
)
def test_what_is_out_of_bounds_is_named_with_what_would_do(value: bytes, text: str) -> None:
    assert explained(value)[2].startswith(text)


def test_late_and_future_say_by_how_much() -> None:
    assert explained(changed(), ARRIVAL_MS + 301_000) == (
        "late",
        "event_time",
        "it arrives 301.000 s after event_time 2026-03-10T12:00:00Z, lateness.late_seconds allows 300",
    )
    assert explained(changed(), ARRIVAL_MS - 120_001)[2] == (
        "it arrives 120.001 s before event_time 2026-03-10T12:00:00Z, lateness.future_seconds allows 120"
    )


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_can_be_explained(value: bytes) -> None:
    assert explained(value)[0] == "malformed"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("4111111111111111", "411111******1111"),
        ("pan 4111 1111-1111 1111!", "pan 4111 11**-**** 1111!"),
        ("123456789012", "123456789012"),
        ("4111  1111  1111  1111", "4111  1111  1111  1111"),
    ],
)
def test_card_numbers_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked
