"""Requests to produce that have no meaning are refused before anything is contacted; text of the account."""

from dataclasses import replace

import pytest

from fraudctl.broker.producer import Deliveries
from fraudctl.clock import StopFlag
from fraudctl.config.load import load
from fraudctl.errors import UsageError
from fraudctl.operations.produce.steady import (
    Produced,
    ProduceRequest,
    Progress,
    limit,
    produce,
    refuse_nonsense,
)
from fraudctl.ui.text.produce import line, not_delivered, summary

SETTINGS = load(profile="local").settings


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (ProduceRequest(SETTINGS, "", rate=-1), "rate must be above 0"),
        (ProduceRequest(SETTINGS, "", rate=0), "rate must be above 0"),
        (ProduceRequest(SETTINGS, "", rate=float("nan")), "rate must be above 0"),
        (ProduceRequest(SETTINGS, "", rate=float("inf")), "at most 1,000,000"),
        (ProduceRequest(SETTINGS, "", rate=1, count=0), "count must be at least 1"),
        (ProduceRequest(SETTINGS, "", rate=1, duration_seconds=0), "duration must be above 0"),
        (ProduceRequest(SETTINGS, "", rate=1, seed=-1), "seed must be from 0"),
    ],
)
def test_nonsense_is_refused(request_: ProduceRequest, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        produce(request_, stop=StopFlag(), observe=lambda progress: None)


def test_without_a_rate_only_a_count_or_the_clock_ends_a_run() -> None:
    refuse_nonsense(ProduceRequest(SETTINGS, "", rate=None))
    assert limit(None, 5, 60.0) == (5, "count")
    assert limit(None, None, 60.0)[0] > 10**15


def test_the_live_line() -> None:
    account = Deliveries(sent=12_345, acknowledged=12_000, failed=5, errors={"x": 5})
    text = line(Progress(seed=7, seconds=2.5, rate=4999.6, deliveries=account, trouble="refused"))
    assert text == (
        "   2.5 s  5,000/s  sent 12,345  acknowledged 12,000  queue 340  errors 5  seed 7"
        "  waiting for Kafka: refused"
    )


def test_the_account_and_each_reason_of_failure() -> None:
    result = Produced(
        topic="transactions",
        seed=7,
        sent=100,
        acknowledged=97,
        failed=3,
        errors={"_MSG_TIMED_OUT: Local: Message timed out": 3},
        seconds=10.0,
        rate_asked=10.0,
        rate_achieved=9.9,
        anchor="2026-01-01T00:00:00.000Z",
        skipped_seconds=12.0,
        digest="abc",
        ended_by="count",
    )
    assert summary(result).splitlines() == [
        "sent 100 to 'transactions': 97 acknowledged, 3 failed",
        "rate: 9.9/s achieved, 10.0/s asked, over 10.0 s from 2026-01-01T00:00:00.000Z",
        "seed: 7  digest: abc",
        "12.0 s of the schedule were skipped: Kafka or this machine halted",
    ]
    assert "9.9/s achieved, max asked" in summary(replace(result, rate_asked=None))
    error = not_delivered(result)
    assert error.message == "3 of 100 events were not delivered"
    assert error.detail == "3 times _MSG_TIMED_OUT: Local: Message timed out"
    error = not_delivered(replace(result, acknowledged=90))
    assert error.message == "10 of 100 events were not delivered"
    assert "7 are unaccounted for" in error.detail
