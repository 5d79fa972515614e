"""A simulated span: in order of arrival, with exactly the faults that were asked for."""

import json
from collections import Counter

import pytest
from pydantic import ValidationError

from fraudctl.config.load import load
from fraudctl.config.model import LatenessSettings
from fraudctl.config.rules_file import read_rules_document
from fraudctl.recount.recount import recount
from fraudctl.rules.model import parse_rules
from fraudctl.simulator.arrivals import (
    BURST_MINUTES,
    BURST_PLACES,
    DAY_CURVE,
    DEMO_FAULTS,
    MINUTE_MS,
    Arrivals,
    Faults,
    arrivals,
)
from fraudctl.simulator.malformed import SHAPES

SETTINGS = load(profile="local").settings
RULES = parse_rules(read_rules_document(SETTINGS.rules.file))
MIDNIGHT_MS = 20_700 * 24 * 60 * MINUTE_MS
HEAVY = Faults(duplicates=0.1, out_of_order=0.1, late=0.05, future=0.05, malformed=0.05)


def span(
    faults: Faults = HEAVY,
    *,
    seed: int = 5,
    hours: float = 2.0,
    per_minute: float = 30.0,
    lateness: LatenessSettings = SETTINGS.lateness,
    start_ms: int = MIDNIGHT_MS + 8 * 60 * MINUTE_MS,
) -> Arrivals:
    return arrivals(
        SETTINGS.producer,
        SETTINGS.events,
        lateness,
        seed=seed,
        start_ms=start_ms,
        hours=hours,
        events_per_minute=per_minute,
        faults=faults,
    )


def recounted(messages: Arrivals, lateness: LatenessSettings = SETTINGS.lateness) -> Counter[str]:
    """What the independent recount makes of the messages."""
    records = [(0, offset, message.arrival_ms, message.value) for offset, message in enumerate(messages)]
    result = recount(
        records, events=SETTINGS.events, windows=SETTINGS.windows, lateness=lateness, rules=RULES
    )
    return result.fates[0]


def test_messages_come_in_the_order_of_arrival() -> None:
    times = [message.arrival_ms for message in span()]
    assert times == sorted(times)


def test_every_iteration_and_every_span_of_one_seed_gives_the_same() -> None:
    messages = span()
    assert list(messages) == list(messages) == list(span())
    assert list(span(seed=6)) != list(messages)


@pytest.mark.parametrize("faults", [HEAVY, DEMO_FAULTS, Faults(), Faults(malformed=1.0)])
def test_the_fates_are_known_beforehand(faults: Faults) -> None:
    messages = span(faults)
    found = Counter(message.fate for message in messages)
    assert {fate: found[fate] for fate in messages.expected} == messages.expected
    assert sum(messages.plan) == sum(messages.expected.values()) - messages.expected["duplicate"]


def test_shares_become_exact_numbers() -> None:
    messages = span(HEAVY)
    total = sum(messages.plan)
    assert messages.expected == {
        "counted": total - 3 * int(0.05 * total),
        "duplicate": int(0.1 * total),
        "late": int(0.05 * total),
        "future": int(0.05 * total),
        "malformed": int(0.05 * total),
    }


@pytest.mark.parametrize("late_seconds", [5, 60, 300, 86_400])
def test_the_recount_comes_to_the_same_fates_and_reasons(late_seconds: int) -> None:
    lateness = SETTINGS.lateness.model_copy(update={"late_seconds": late_seconds})
    messages = span(lateness=lateness)
    planned = Counter(message.reason or message.fate for message in messages)
    assert recounted(messages, lateness) == planned


def test_every_shape_of_malformed_message_gets_its_reason() -> None:
    messages = span(Faults(malformed=1.0), hours=0.2, per_minute=60)
    reasons = [message.reason for message in messages]
    assert reasons[: len(SHAPES)] == [reason for reason, _ in SHAPES]
    assert recounted(messages) == Counter(reasons)


def test_a_duplicate_is_the_same_bytes_again_later() -> None:
    first: dict[bytes, int] = {}
    for message in span():
        if message.fate == "counted":
            first[message.value] = message.arrival_ms
        elif message.fate == "duplicate":
            assert first[message.value] < message.arrival_ms


def minutes_behind(faults: Faults) -> int:
    """How many messages happened in an earlier minute than some message that came before them."""
    newest, behind = "", 0
    for message in span(faults):
        minute = json.loads(message.value)["event_time"][:16]
        behind += minute < newest
        newest = max(newest, minute)
    return behind


def test_events_out_of_order_are_overtaken_by_whole_minutes() -> None:
    messages = span(Faults(out_of_order=0.2))
    assert {message.fate for message in messages} == {"counted"}
    # A few ordinary events cross the turn of a minute on their way.
    assert minutes_behind(Faults(out_of_order=0.2)) > 0.1 * sum(messages.plan)
    assert minutes_behind(Faults()) < 0.05 * sum(messages.plan)


def test_a_day_has_its_wave() -> None:
    assert sum(DAY_CURVE) / 24 == pytest.approx(1.0)
    plan = span(Faults(), hours=24, per_minute=100, start_ms=MIDNIGHT_MS).plan
    assert len(plan) == 1440
    assert sum(plan) == pytest.approx(1440 * 100, rel=0.01)
    night, noon = sum(plan[120:240]), sum(plan[690:810])
    assert noon > 8 * night


def test_frauds_come_in_bursts() -> None:
    messages = span(Faults(), hours=10, per_minute=60)
    bursts = [int(place * len(messages.plan)) for place in BURST_PLACES]
    large = Counter[bool]()
    for message in messages:
        minute = (message.arrival_ms - messages.start_ms) // MINUTE_MS
        # Abroad means suspicious in this simulation.
        if any(b'"country":"%s"' % country in message.value for country in (b"US", b"BR", b"TH")):
            large[any(start <= minute < start + BURST_MINUTES for start in bursts)] += 1
    share_of_time = len(bursts) * BURST_MINUTES / len(messages.plan)
    assert large[True] > 5 * share_of_time * large.total()


def test_shares_cannot_exceed_the_whole() -> None:
    with pytest.raises(ValidationError, match="exceed the whole"):
        Faults(late=0.6, malformed=0.5)


def test_a_span_without_events_is_empty() -> None:
    messages = span(per_minute=0.0)
    assert list(messages) == []
    assert set(messages.expected.values()) == {0}
