"""Alerts and flags by the rules of the batch that read a record, in whatever order the log is read."""

import itertools
import json
from hashlib import sha256

from fraudctl.config.load import load
from fraudctl.recount.alerts import Alert, compare_alerts
from fraudctl.recount.recount import Record, Recount
from fraudctl.recount.windows import Totals
from fraudctl.rules.model import RuleSet, parse_rules
from tests.support.recounts import recount_both

SETTINGS = load().settings
ARRIVAL_MS = 1_773_144_000_000


def rules(limit: int, *, action: str = "alert") -> RuleSet:
    return parse_rules(
        {"rules": [{"id": "dear", "reason": "dear", "action": action, "when": {"amount_over": limit}}]}
    )


LAX, STRICT = rules(1000), rules(100)


def record(partition: int, offset: int, *, amount: int = 500, name: str = "t", later_ms: int = 0) -> Record:
    event = {
        "schema_version": 1,
        "transaction_id": name,
        "event_time": "2026-03-10T12:00:00Z",
        "card_id": "c",
        "merchant_id": "m",
        "category": "Food",
        "amount_minor": amount,
        "currency": "EUR",
        "country": "DE",
        "channel": "pos",
    }
    return partition, offset, ARRIVAL_MS + later_ms, json.dumps(event).encode()


def counted(records: list[Record], sets: list[RuleSet]) -> Recount:
    """Offsets 0 to 9 of each partition were read by the first batch, 10 to 19 by the second, and so on."""
    return recount_both(
        records,
        events=SETTINGS.events,
        windows=SETTINGS.windows,
        lateness=SETTINGS.lateness,
        rules=sets,
        batch_of=lambda _partition, offset: offset // 10,
    )


def one_window(result: Recount) -> Totals:
    (totals,) = set(result.windows.values())
    return totals


def test_each_batch_is_judged_by_its_own_rules() -> None:
    result = counted([record(0, 0, name="a"), record(0, 10, name="b")], [LAX, STRICT])
    assert one_window(result) == Totals(2, 1, 1000, 500)
    (raised,) = result.raised.values()
    assert (raised.transaction.transaction_id, raised.place) == ("b", 1)


def test_copies_count_by_the_batch_that_came_first_in_whatever_order_they_are_read() -> None:
    copies = [record(0, 0), record(1, 10, later_ms=7), record(2, 20, later_ms=9)]
    for order in itertools.permutations(copies):
        strict_first = counted(list(order), [STRICT, LAX, LAX])
        assert one_window(strict_first) == Totals(1, 1, 500, 500)
        (raised,) = strict_first.raised.values()
        assert (raised.place, raised.arrival_ms) == (0, ARRIVAL_MS)
        lax_first = counted(list(order), [LAX, STRICT, STRICT])
        assert one_window(lax_first) == Totals(1, 0, 500, 0)
        (raised,) = lax_first.raised.values()
        assert (raised.place, raised.arrival_ms) == (1, ARRIVAL_MS + 7), "a copy is judged by the new rules"
        assert lax_first.fate("duplicate") == strict_first.fate("duplicate") == 2


def test_of_copies_in_one_batch_the_first_arrival_stands() -> None:
    for order in ((0, 1), (1, 0)):
        copies = [record(0, 0, later_ms=5), record(1, 0)]
        (raised,) = counted([copies[place] for place in order], [STRICT]).raised.values()
        assert raised.arrival_ms == ARRIVAL_MS


def test_two_payloads_under_one_id_are_two_alerts() -> None:
    result = counted([record(0, 0, amount=500), record(0, 1, amount=501)], [STRICT])
    assert len(result.raised) == 2
    assert result.conflicts == ("t",)


def test_the_digest_is_the_one_of_the_specification() -> None:
    text = "1\x1ft\x1f1773144000000000\x1fc\x1fm\x1fFood\x1f500\x1fEUR\x1fDE\x1fpos"
    assert list(counted([record(0, 0)], [STRICT]).raised) == [sha256(text.encode()).hexdigest()]


def test_a_flag_is_no_alert() -> None:
    result = counted([record(0, 0)], [rules(100, action="flag")])
    assert (one_window(result).flagged_count, result.raised) == (1, {})


def test_differences_are_named_by_column() -> None:
    ours = Alert("t", "c", "m", 1, "Food", 5, "EUR", "DE", "pos", 2, "r", 50, "dear", "q", 0)
    theirs = ours._replace(score=51, batch_id=3)
    (found,) = compare_alerts({"d": ours}, {"d": theirs})
    assert (found.kind, found.columns) == ("differs", ("score", "batch_id"))
    assert not list(compare_alerts({"d": ours}, {"d": theirs}, ignoring=frozenset({"score", "batch_id"})))
    assert [found.kind for found in compare_alerts({"a": ours}, {"b": ours})] == ["missing", "extra"]
