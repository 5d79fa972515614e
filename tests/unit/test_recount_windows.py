"""Duplicates, conflicts, the engine's drop rule, windows of other shapes, and the law of conservation."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudctl.config.load import load
from fraudctl.config.model import WindowsSettings
from fraudctl.recount.instants import MINUTE_US, instant_text
from fraudctl.recount.recount import Record, Recount, Watermark
from fraudctl.recount.windows import Totals, WindowKey
from fraudctl.rules.model import parse_rules
from tests.support.recounts import recount_both

SETTINGS = load().settings
NOON_US = 1_773_144_000_000_000
NOTHING = parse_rules({"rules": []})
PLAIN: dict[str, Any] = {
    "schema_version": 1,
    "transaction_id": "t",
    "event_time": instant_text(NOON_US),
    "card_id": "c",
    "merchant_id": "m",
    "category": "Food",
    "amount_minor": 5,
    "currency": "EUR",
    "country": "DE",
    "channel": "pos",
}


def message(event_us: int = NOON_US, **changed: Any) -> bytes:
    return json.dumps({**PLAIN, "event_time": instant_text(event_us), **changed}).encode()


def recounted(
    records: list[Record],
    *,
    watermark: Watermark | None = None,
    windows: WindowsSettings = SETTINGS.windows,
) -> Recount:
    given_watermark = {} if watermark is None else {"watermark": watermark}
    return recount_both(
        records,
        events=SETTINGS.events,
        windows=windows,
        lateness=SETTINGS.lateness,
        rules=NOTHING,
        **given_watermark,
    )


def test_the_clock_of_these_tests() -> None:
    assert instant_text(NOON_US) == "2026-03-10T12:00:00Z"


@pytest.mark.parametrize(
    "changed",
    [
        {"card_id": "c2"},
        {"merchant_id": "m2"},
        {"category": "Retail"},
        {"amount_minor": 6},
        {"country": "FR"},
        {"channel": "web"},
        {"event_time": instant_text(NOON_US + 1)},
    ],
)
def test_any_other_field_makes_another_payload_of_the_same_id(changed: dict[str, Any]) -> None:
    arrival = NOON_US // 1000
    result = recounted([(0, 0, arrival, message()), (0, 1, arrival, message(**changed))])
    assert result.fates == {0: Counter(counted=2)}
    assert result.conflicts == ("t",)


def test_fields_do_not_run_together() -> None:
    arrival = NOON_US // 1000
    first = message(card_id="a:b", merchant_id="c")
    second = message(card_id="a", merchant_id="b:c")
    assert recounted([(0, 0, arrival, first), (0, 1, arrival, second)]).fate("counted") == 2


def test_an_event_at_the_watermark_is_dropped_and_one_microsecond_after_it_is_not() -> None:
    arrival = NOON_US // 1000
    marks = {(0, 0): NOON_US, (0, 1): NOON_US}
    result = recounted(
        [(0, 0, arrival, message()), (0, 1, arrival, message(NOON_US + 1, transaction_id="u"))],
        watermark=lambda partition, offset: marks[partition, offset],
    )
    assert result.fates == {0: Counter(counted=1, dropped_by_engine=1)}
    assert sum(totals.count for totals in result.windows.values()) == 10


def test_a_dropped_event_does_not_make_its_copy_a_duplicate() -> None:
    arrival = NOON_US // 1000
    marks = {0: NOON_US, 1: 0}
    result = recounted(
        [(0, 0, arrival, message()), (1, 0, arrival, message())],
        watermark=lambda partition, _offset: marks[partition],
    )
    assert result.fates == {0: Counter(dropped_by_engine=1), 1: Counter(counted=1)}


@settings(deadline=None)
@given(
    st.integers(NOON_US - 10**10, NOON_US + 10**10),
    st.sampled_from([(10, 1), (10, 5), (10, 10), (60, 15), (1, 1), (1440, 60)]),
)
def test_an_event_is_in_every_window_that_holds_it_and_in_no_other(
    event_us: int, shape: tuple[int, int]
) -> None:
    length, slide = shape
    windows = WindowsSettings(length_minutes=length, slide_minutes=slide)
    result = recounted([(0, 0, event_us // 1000, message(event_us))], windows=windows)
    assert set(result.windows.values()) == {Totals(1, 0, 5, 0)}
    assert len(result.windows) == length // slide
    for key in result.windows:
        assert key.end_us - key.start_us == length * MINUTE_US
        assert key.start_us % (slide * MINUTE_US) == 0
        assert key.start_us <= event_us < key.end_us


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([message(), message(amount_minor=6), message(amount_minor=0), b"{", b"", None]),
            st.sampled_from([0, 299_000, 301_000, -119_000, -121_000]),
        ),
        max_size=40,
    )
)
def test_every_record_has_exactly_one_fate(drawn: list[tuple[int, bytes | None, int]]) -> None:
    records: list[Record] = [
        (partition, offset, NOON_US // 1000 + lag, value)
        for offset, (partition, value, lag) in enumerate(drawn)
    ]
    result = recounted(records)
    assert result.read == len(records)
    for partition, fates in result.fates.items():
        assert fates.total() == sum(1 for record in records if record[0] == partition)
    assert result.fate("counted") <= 2
    assert len(result.rejects) == result.read - result.fate("counted") - result.fate("duplicate")


def test_rows_come_in_order() -> None:
    arrival = NOON_US // 1000
    result = recounted(
        [(0, 0, arrival, message(category="Retail")), (0, 1, arrival, message(NOON_US - MINUTE_US))]
    )
    assert list(result.windows) == sorted(result.windows)
    assert WindowKey(NOON_US, NOON_US + 10 * MINUTE_US, "Retail") in result.windows
