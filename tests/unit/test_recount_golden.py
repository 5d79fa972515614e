"""The recount against the golden cases: every message's fate, every window of the small logs."""

from collections import Counter
from typing import Any

import pytest

from fraudctl.config.load import load
from fraudctl.config.rules_file import read_rules_document
from fraudctl.events.schema import REASONS
from fraudctl.recount.instants import instant_text
from fraudctl.recount.recount import Record, Recount
from fraudctl.rules.model import parse_rules
from tests.golden import MESSAGES, WINDOWS, value_bytes
from tests.support.recounts import recount_both

SETTINGS = load().settings
RULES = parse_rules(read_rules_document(SETTINGS.rules.file))


def recounted(records: list[Record]) -> Recount:
    return recount_both(
        records, events=SETTINGS.events, windows=SETTINGS.windows, lateness=SETTINGS.lateness, rules=RULES
    )


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case["name"])
def test_message(case: dict[str, Any]) -> None:
    result = recounted([(0, 7, case["arrival_ms"], value_bytes(case))])
    if case["expect"] == "admitted":
        assert result.fates == {0: Counter(counted=1)}
        assert len(result.windows) == 10
    else:
        assert result.rejects == {(0, 7): case["expect"]}
        assert result.fates == {0: Counter({case["expect"]: 1})}
        assert result.windows == {}


def test_the_messages_cover_every_reason() -> None:
    assert {case["expect"] for case in MESSAGES} == {"admitted", *REASONS}


@pytest.mark.parametrize("case", WINDOWS, ids=lambda case: case["name"])
def test_windows(case: dict[str, Any]) -> None:
    records = [
        (record["partition"], record["offset"], record["arrival_ms"], value_bytes(record))
        for record in case["records"]
    ]
    result = recounted(records)
    rows = [
        {
            "window_start": instant_text(key.start_us),
            "window_end": instant_text(key.end_us),
            "category": key.category,
            "count": totals.count,
            "flagged_count": totals.flagged_count,
            "amount_minor": totals.amount_minor,
            "flagged_amount_minor": totals.flagged_amount_minor,
        }
        for key, totals in result.windows.items()
    ]
    assert rows == case["windows"]
    assert sum(result.fates.values(), Counter()) == Counter(case["fates"])
    assert list(result.conflicts) == case["conflicts"]


@pytest.mark.parametrize("case", WINDOWS, ids=lambda case: case["name"])
def test_the_order_of_partitions_does_not_matter(case: dict[str, Any]) -> None:
    records = [
        (record["partition"], record["offset"], record["arrival_ms"], value_bytes(record))
        for record in case["records"]
    ]
    forward, backward = recounted(records), recounted(records[::-1])
    assert forward.windows == backward.windows
    assert forward.rejects == backward.rejects
    assert forward.conflicts == backward.conflicts
