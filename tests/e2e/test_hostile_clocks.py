"""Bar 11: only the broker's clock moves the watermark; whoever is wrong about the time harms nobody else."""

from datetime import UTC, datetime, timedelta

import pytest

from fraudctl.config.load import load
from fraudctl.events.codec import Transaction, encode, rfc3339
from tests.conftest import NewStack
from tests.support import scenario
from tests.support.bars import Bar
from tests.support.raw_log import Raw, send

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1200)]

ROUNDS = 3
# Honest events: on time, as late and as early as is allowed (but for the seconds that a test takes).
HONEST = (timedelta(0), timedelta(seconds=-240), timedelta(seconds=100))
EACH = 50
YEARS = timedelta(days=365.25)


def event(name: str, event_time: str) -> bytes:
    return encode(
        Transaction(
            transaction_id=name,
            event_time=event_time,
            card_id=f"c-{name}",
            merchant_id="m-1",
            category="Food",
            amount_minor=100,
            currency="EUR",
            country="DE",
            channel="pos",
        )
    )


def at(moment: datetime) -> str:
    return rfc3339(int(moment.timestamp() * 1000))  # never later than the moment itself


def hostile(number: int, now: datetime) -> dict[bytes, str]:
    """Messages that are to be refused, each with its reason."""
    name = f"bad-{number}"
    honest = event(name, at(now))
    return {
        event(f"{name}-a", at(now + 70 * YEARS)): "future",
        event(f"{name}-b", "2099-12-31T23:59:59.999Z"): "future",
        event(f"{name}-c", "0001-01-01T00:00:00.000Z"): "invalid_event_time",
        event(f"{name}-d", "99999-01-01T00:00:00.000Z"): "invalid_event_time",
        event(f"{name}-e", "+12026-01-01T00:00:00.000Z"): "invalid_event_time",
        event(f"{name}-f", "12:00"): "invalid_event_time",
        event(f"{name}-g", at(now - 26 * YEARS)): "late",
        event(f"{name}-h", at(now + timedelta(minutes=5))): "future",
        honest.replace(at(now).encode(), b"1790000000000"): "invalid_event_time",
        honest.replace(f'"{at(now)}"'.encode(), b"1790000000000"): "malformed",
    }


@pytest.mark.bar(11, "hostile clocks: +70 years, year 0001, +5 min", target="valid events lost 0, shift 0")
def test_no_event_moves_the_watermark_for_the_others(new_stack: NewStack, bar: Bar) -> None:
    """Steps: three rounds of hostile events followed by honest ones, each landed before the next.

    Observables: every honest event is counted, every hostile one is a dead letter with its reason; the
    watermark never passes what the newest honest event allows; verify agrees, nothing was dropped.
    """
    stack = new_stack()
    stack.up()
    detect = scenario.start(stack, "detect")
    honest = 0
    reasons: list[str] = []
    newest = datetime.fromtimestamp(0, UTC)
    for number in range(ROUNDS):
        now = datetime.now(UTC)
        bad = hostile(number, now)
        good = [
            event(f"good-{number}-{place}-{each}", at(now + skew))
            for place, skew in enumerate(HONEST)
            for each in range(EACH)
        ]
        send(stack, [Raw(place % 3, value) for place, value in enumerate([*bad, *good])])
        honest += len(good)
        reasons += bad.values()
        newest = now + max(HONEST)
        sent = honest + len(reasons)
        scenario.wait_for("the round to land", lambda sent=sent: scenario.landed_records(stack) == sent)
    detect.interrupt()
    detect.finish()

    delay = timedelta(seconds=load().settings.lateness.watermark_delay_seconds)
    watermark = scenario.execute(stack, "SELECT max(watermark) FROM fraud.batch_ledger")[0][0]
    assert watermark <= newest - delay
    stored = [reason for (reason,) in scenario.execute(stack, "SELECT reason FROM fraud.dead_letters")]
    assert sorted(stored) == sorted(reasons)
    verified = stack.json("verify-idempotency")
    assert verified["verdict"] == "ok"
    assert (verified["fates"]["counted"], verified["fates"]["dropped_by_engine"]) == (honest, 0)
    bar(f"{honest} honest events counted, lost 0; {len(reasons)} hostile ones refused; watermark shift 0")
