"""What rules on a card's past make of a log, batch by batch: by hand, and against the definition."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from fraudctl.config.load import load
from fraudctl.recount.card_log import Marked
from fraudctl.recount.hindsight import in_hindsight
from fraudctl.recount.judgement import judge
from fraudctl.recount.parse import parser
from fraudctl.recount.raised import transaction_digest
from fraudctl.recount.recount import NO_WATERMARK, Recount, recount
from fraudctl.rules.model import RuleSet, parse_rules

SETTINGS = load().settings
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# 12:00, the begin of a window for every horizon of whole minutes that divides an hour.
NOON_US = 1_773_144_000_000_000
MINUTE_US = 60_000_000


class Event(NamedTuple):
    """`seconds` after noon; `batch` reads it, `later_ms` after the event it arrives."""

    name: str
    seconds: float
    batch: int = 0
    card: str = "c"
    amount: int = 100
    country: str = "DE"
    merchant: str = "m"
    partition: int = 0
    later_ms: int = 0

    @property
    def event_us(self) -> int:
        return NOON_US + round(self.seconds * 1_000_000)

    @property
    def value(self) -> bytes:
        time = (EPOCH + timedelta(microseconds=self.event_us)).isoformat().replace("+00:00", "Z")
        event = {
            "schema_version": 1,
            "transaction_id": self.name,
            "event_time": time,
            "card_id": self.card,
            "merchant_id": self.merchant,
            "category": "Food",
            "amount_minor": self.amount,
            "currency": "EUR",
            "country": self.country,
            "channel": "pos",
        }
        return json.dumps(event).encode()


def rule(name: str, *, card: Mapping[str, int] | None = None, **more: Any) -> dict[str, Any]:
    when = more.pop("when", {})
    return {"id": name, "reason": name, "when": when | ({"card": card} if card else {}), **more}


def rules(*each: dict[str, Any], **more: Any) -> RuleSet:
    return parse_rules({"rules": list(each), **more})


def counted(
    events: Sequence[Event],
    sets: RuleSet | Sequence[RuleSet],
    *,
    watermarks: Mapping[int, int] | None = None,
    horizon: int | None = None,
) -> Recount:
    """Recounts the events, each partition in the order in which they are given."""
    batches: dict[tuple[int, int], int] = {}
    records = []
    for event in events:
        offset = sum(one.partition == event.partition for one in events[: len(records)])
        batches[event.partition, offset] = event.batch
        arrival_ms = event.event_us // 1000 + event.later_ms
        records.append((event.partition, offset, arrival_ms, event.value))
    return recount(
        records,
        events=SETTINGS.events,
        windows=SETTINGS.windows,
        lateness=SETTINGS.lateness,
        rules=sets if not isinstance(sets, RuleSet) else [sets] * (1 + max(e.batch for e in events)),
        card_horizon_seconds=horizon,
        batch_of=lambda partition, offset: batches[partition, offset],
        watermark=lambda partition, offset: (watermarks or {}).get(batches[partition, offset], NO_WATERMARK),
    )


def marked(result: Recount) -> dict[tuple[int, str], Marked]:
    """By partition and transaction id."""
    return {(partition, one.transaction.transaction_id): one for (partition, _), one in result.marked.items()}


def names(result: Recount) -> set[str]:
    return {name for _, name in marked(result)}


def test_more_than_so_many_this_one_included() -> None:
    set_ = rules(rule("often", card={"within_minutes": 10, "count_over": 2}))
    events = [Event("a", 0), Event("b", 60), Event("c", 120), Event("other", 130, card="d")]
    assert names(counted(events[:2], set_)) == set()
    found = marked(counted(events, set_))
    assert set(found) == {(0, "c")}
    assert found[0, "c"].verdict == (("often",), 50, False)
    assert found[0, "c"].alone


def test_the_past_ends_just_after_so_long_before() -> None:
    set_ = rules(rule("often", card={"within_minutes": 10, "count_over": 1}))
    assert names(counted([Event("a", 0), Event("b", 600)], set_)) == set()
    assert names(counted([Event("a", 0.000001), Event("b", 600)], set_)) == {"b"}


def test_sums_countries_and_merchants_are_those_of_the_past() -> None:
    events = [
        Event("a", 0, amount=100, country="DE", merchant="x"),
        Event("b", 60, amount=200, country="FR", merchant="x"),
        Event("c", 120, amount=300, country="DE", merchant="y"),
        Event("d", 690, amount=1, country="FR", merchant="y"),  # a and b are over: from 01:30 on
    ]

    def by(**condition: int) -> set[str]:
        return names(counted(events, rules(rule("r", card={"within_minutes": 10, **condition}))))

    assert by(sum_over=299) == {"b", "c", "d"}
    assert by(sum_over=300) == {"c", "d"}
    assert by(sum_over=301) == {"c"}
    assert by(sum_over=599) == {"c"}
    assert by(sum_over=600) == set()
    assert by(countries_over=1) == {"b", "c", "d"}
    assert by(countries_over=2) == set()
    assert by(merchants_over=1) == {"c"}
    assert by(countries_over=1, merchants_over=1) == {"c"}


def test_the_previous_one_is_the_last_within_the_span() -> None:
    events = [Event("a", 0), Event("b", 59.999999), Event("c", 119.999999), Event("d", 300)]

    def by(within: int, seconds: int) -> set[str]:
        card = {"within_minutes": within, "since_previous_under_seconds": seconds}
        return names(counted(events, rules(rule("r", card=card))))

    assert by(10, 60) == {"b"}
    assert by(10, 61) == {"b", "c"}
    assert by(10, 180) == {"b", "c"}
    assert by(10, 181) == {"b", "c", "d"}
    assert by(1, 60) == {"b"}


def test_of_two_at_one_instant_the_greater_digest_is_the_later() -> None:
    set_ = rules(rule("r", card={"within_minutes": 1, "since_previous_under_seconds": 1}))
    for pair in ([Event("a", 0), Event("b", 0)], [Event("b", 0), Event("a", 0)]):
        assert list(counted(pair, set_).marked) == [(0, max(map(digest_of, pair)))]


def test_copies_are_one_transaction_that_arrived_with_the_first() -> None:
    set_ = rules(rule("often", card={"within_minutes": 10, "count_over": 1}))
    copies = [Event("a", 0, later_ms=7), Event("a", 0, later_ms=5), Event("a", 0, later_ms=9)]
    assert names(counted(copies, set_)) == set()
    found = marked(counted([*copies, Event("early", -1)], set_))
    assert [(name, one.arrival_ms) for name, one in found.items()] == [((0, "a"), NOON_US // 1000 + 5)]


def test_partitions_and_cards_have_pasts_of_their_own() -> None:
    set_ = rules(rule("often", card={"within_minutes": 10, "count_over": 1}))
    assert names(counted([Event("a", 0), Event("b", 1, card="d")], set_)) == set()
    assert names(counted([Event("a", 0), Event("b", 1, partition=1)], set_)) == set()
    both = [Event("a", 0), Event("b", 1), Event("b", 1, partition=1), Event("a", 0, partition=1)]
    assert set(marked(counted(both, set_))) == {(0, "b"), (1, "b")}


def test_the_past_reaches_over_the_border_of_windows() -> None:
    set_ = rules(rule("often", card={"within_minutes": 10, "count_over": 1}))
    for shift in range(0, 1260, 30):
        assert names(counted([Event("a", shift), Event("b", shift + 599)], set_)) == {"b"}


def test_stateless_conditions_of_the_rule_must_hold_too() -> None:
    card = {"within_minutes": 10, "count_over": 1}
    events = [Event("a", 0), Event("b", 1, country="FR"), Event("c", 2)]
    set_ = rules(rule("abroad", card=card, when={"not_countries": ["DE"]}))
    result = counted(events, set_)
    assert names(result) == {"b"}
    assert sum(totals.flagged_count for totals in result.windows.values()) == 0, (
        "a window counts no card rule"
    )


def test_a_flag_names_all_rules_that_match_in_their_order_and_whether_one_asks_for_no_past() -> None:
    set_ = rules(
        rule("dear", when={"amount_over": 500}, weight=10),
        rule("often", card={"within_minutes": 10, "count_over": 1}, weight=60),
        rule("off", card={"within_minutes": 20, "count_over": 1}, enabled=False),
        rule("fast", card={"within_minutes": 5, "since_previous_under_seconds": 10}, weight=70),
    )
    events = [Event("a", 0, amount=900), Event("b", 5, amount=900), Event("c", 100), Event("d", 101)]
    found = marked(counted(events, set_))
    assert found[0, "b"][3:] == ((("dear", "often", "fast"), 100, False), False)
    assert found[0, "c"][3:] == ((("often",), 60, False), True)
    assert found[0, "d"][3:] == ((("often", "fast"), 100, False), True)
    assert set(found) == {(0, "b"), (0, "c"), (0, "d")}, "a is matched by no rule with a past"


def test_what_arrives_out_of_order_flags_what_was_read_before() -> None:
    set_ = rules(rule("often", card={"within_minutes": 10, "count_over": 1}, action="alert"))
    result = counted([Event("b", 60), Event("a", 0, batch=1, later_ms=70_000)], set_)
    (found,) = marked(result).items()
    assert found[0] == (0, "b")
    assert found[1].place == 1
    (raised,) = result.raised.values()
    assert (raised.transaction.transaction_id, raised.place) == ("b", 1)
    assert raised.arrival_ms == (NOON_US + 60_000_000) // 1000, "of the transaction, not of what made it one"


def test_a_batch_judges_what_lies_in_a_window_that_it_touches_and_nothing_else() -> None:
    """Slots of ten minutes: 12:00, 12:10, 12:20. A record touches the window that begins with its own slot
    and the one before, so what is judged lies in its slot or the next."""
    set_ = rules(rule("often", card={"within_minutes": 10, "count_over": 1}))
    first = [
        Event("a", 0),
        Event("b", 1),
        Event("c", 700),
        Event("d", 701),
        Event("e", 1300),
        Event("f", 1301),
    ]
    touching = {
        -30: ["b"],  # 11:59:30
        30: ["b", "d"],  # 12:00:30, which comes after b
        630: ["d", "f"],
        1250: ["f"],
        1850: [],  # 12:30:50
    }
    for seconds, judged in touching.items():
        found = marked(counted([*first, Event("late", seconds, batch=1, amount=7)], set_))
        again = sorted(name for (_, name), one in found.items() if one.place == 1 and name in "bdf")
        assert again == judged, seconds


def test_a_copy_touches_its_windows_too() -> None:
    set_ = rules(rule("often", card={"within_minutes": 10, "count_over": 1}))
    events = [Event("a", 0), Event("b", 1), Event("a", 0, batch=3, later_ms=90_000)]
    found = marked(counted(events, set_))
    assert (found[0, "b"].place, found[0, "b"].arrival_ms) == (3, NOON_US // 1000 + 1000)


def test_the_rules_of_the_batch_judge_and_a_flag_that_no_rule_gives_any_more_stays() -> None:
    old = rules(rule("often", card={"within_minutes": 10, "count_over": 1}, weight=20))
    new = rules(rule("more", card={"within_minutes": 10, "count_over": 2}, weight=30))
    events = [Event("a", 0), Event("b", 1), Event("c", 2, batch=1)]
    found = marked(counted(events, [old, new]))
    assert found[0, "b"][3:] == ((("often",), 20, False), True)
    assert (found[0, "b"].place, found[0, "c"].place) == (0, 1)
    assert found[0, "c"].verdict.rules == ("more",)


def test_a_flag_is_replaced_by_a_later_judgement() -> None:
    dear = rule("dear", when={"amount_over": 10})
    often = rule("often", card={"within_minutes": 10, "count_over": 1}, weight=20)
    events = [Event("a", 0), Event("b", 1), Event("z", 2, batch=1)]
    found = marked(counted(events, [rules(often, dear), rules({**often, "weight": 21})]))
    assert found[0, "b"][3:] == ((("often",), 21, False), True)
    assert found[0, "b"].place == 1


def test_rules_that_look_less_far_judge_in_the_windows_of_the_generation() -> None:
    far = rules(rule("far", card={"within_minutes": 20, "count_over": 1}))
    near = rules(rule("near", card={"within_minutes": 10, "count_over": 1}))
    events = [Event("a", 0), Event("b", 1), Event("z", 1190, batch=1)]
    assert marked(counted(events, [far, near]))[0, "b"].place == 1, (
        "slots of 20 minutes: z touches b's window"
    )
    found = marked(counted([e._replace(batch=0) for e in events], near, horizon=3600))
    assert set(found) == {(0, "b")}
    assert not marked(counted(events, [far, rules()]))[0, "b"].place


def test_alerts_take_the_score_of_all_rules_and_the_first_stands() -> None:
    set_ = rules(
        rule("dear", when={"amount_over": 500}, weight=40),
        rule("often", card={"within_minutes": 10, "count_over": 1}, weight=30),
        rule("oftener", card={"within_minutes": 10, "count_over": 2}, weight=5),
        alert_score=70,
    )
    events = [
        Event("a", 0),
        Event("b", 10, amount=900),
        Event("c", 20),
        Event("early", 5, batch=1, later_ms=9000),
    ]
    result = counted(events, set_)
    (raised,) = result.raised.values()
    assert (raised.transaction.transaction_id, raised.place) == ("b", 0)
    assert raised.verdict == (("dear", "often"), 70, True)
    assert marked(result)[0, "b"].verdict == (("dear", "often", "oftener"), 75, True)


def test_an_alert_that_needs_no_past_stands_against_one_of_the_same_batch_that_does() -> None:
    dear = rule("dear", when={"amount_over": 500}, action="alert", weight=40)
    often = rule("often", card={"within_minutes": 10, "count_over": 1}, action="alert", weight=30)
    events = [Event("a", 0), Event("b", 10, amount=900)]
    (raised,) = counted(events, rules(dear, often)).raised.values()
    assert raised.verdict.rules == ("dear",)
    # The rules on the card alone raise it first; a copy, judged by other rules, comes too late.
    later = [*events, Event("b", 10, amount=900, batch=1, later_ms=5000)]
    (first,) = counted(later, [rules(often), rules(dear, often)]).raised.values()
    assert (first.place, first.verdict.rules) == (0, ("often",))
    (first,) = counted(later, [rules(dear), rules(dear, often)], horizon=600).raised.values()
    assert (first.place, first.verdict.rules) == (0, ("dear",))


def test_of_copies_in_two_partitions_the_earliest_arrival_raises_the_alert() -> None:
    often = rule("often", card={"within_minutes": 10, "count_over": 1}, action="alert", weight=30)
    oftener = rule("oftener", card={"within_minutes": 10, "count_over": 2}, action="alert", weight=30)
    in_0 = [Event("a", 0), Event("b", 10)]
    in_1 = [Event("a", 0, partition=1), Event("x", 5, partition=1), Event("b", 10, partition=1)]

    def raised(later_0: int, later_1: int) -> tuple[str, ...]:
        events = [
            e._replace(later_ms=later_0 if e.partition == 0 else later_1)
            for e in (*in_1, *in_0)
            if e.name == "b"
        ]
        others = [e for e in (*in_1, *in_0) if e.name != "b"]
        result = counted([*others, *events], rules(often, oftener))
        (one,) = [r for r in result.raised.values() if r.transaction.transaction_id == "b"]
        return one.verdict.rules

    assert raised(0, 1) == ("often",)
    assert raised(1, 0) == ("often", "oftener")
    assert raised(0, 0) == ("often",), "then the lowest partition"


def test_what_comes_for_a_window_that_spark_has_forgotten_is_not_seen_there() -> None:
    set_ = rules(rule("often", card={"within_minutes": 10, "count_over": 1}))
    events = [Event("a", 0), Event("late", 30, batch=1), Event("b", 605, batch=1)]
    # late lies in the windows 11:50 to 12:10 and 12:00 to 12:20.
    ten_past = NOON_US + 10 * MINUTE_US
    assert names(counted(events, set_, watermarks={1: ten_past - 1})) == {"late", "b"}
    assert names(counted(events, set_, watermarks={1: ten_past})) == {"b"}
    found = counted(events, set_, watermarks={1: ten_past + 10 * MINUTE_US})
    assert names(found) == set()


# --- against the definition, word by word ---------------------------------------------------------------

CARD_CONDITIONS = st.dictionaries(
    st.sampled_from(
        ["count_over", "sum_over", "countries_over", "merchants_over", "since_previous_under_seconds"]
    ),
    st.integers(1, 3),
    min_size=1,
    max_size=3,
).map(
    lambda found: {
        name: value * {"sum_over": 100, "since_previous_under_seconds": 20}.get(name, 1)
        for name, value in found.items()
    }
)


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    each = []
    for number in range(draw(st.integers(0, 3))):
        card = draw(st.none() | CARD_CONDITIONS)
        if card is not None:
            card = {"within_minutes": draw(st.integers(1, 3)), **card}
        when = draw(st.sampled_from([{}, {"countries": ["DE"]}, {"amount_over": 100}]))
        if not (card or when):
            continue
        action = draw(st.sampled_from(["flag", "alert"]))
        each.append(
            rule(
                f"r{number}",
                card=card,
                when=when,
                action=action,
                weight=draw(st.integers(0, 60)),
                enabled=draw(st.sampled_from([True, True, False])),
            )
        )
    return rules(*each, **draw(st.sampled_from([{}, {"alert_score": 50}])))


EVENTS = st.builds(
    Event,
    st.sampled_from(["t0", "t1", "t2", "t3"]),
    st.integers(0, 12).map(lambda number: number * 30),
    card=st.sampled_from("ccd"),
    amount=st.sampled_from([100, 200]),
    country=st.sampled_from(["DE", "FR"]),
    merchant=st.sampled_from("mn"),
)


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Event], list[RuleSet]]:
    """Three batches in two partitions, with copies; each with rules of its own, or all with the same."""
    some = draw(st.lists(EVENTS, min_size=2, max_size=12, unique=True))
    batches = sorted(draw(st.lists(st.integers(0, 2), min_size=2, max_size=20)))
    events = [
        draw(st.sampled_from(some))._replace(
            batch=batch, partition=draw(st.sampled_from([0, 0, 0, 1])), later_ms=draw(st.integers(0, 3))
        )
        for batch in batches
    ]
    sets = [draw(rule_sets()) for _ in range(3)]
    return events, draw(st.sampled_from([sets, [sets[0]] * 3]))


def definition(
    events: Sequence[Event], sets: Sequence[RuleSet], horizon_us: int
) -> tuple[dict[tuple[int, str], tuple[Any, ...]], dict[str, tuple[Any, ...]]]:
    """Flags by (partition, digest), alerts by digest, from the words of the specification."""
    parsed = [(event, digest_of(event)) for event in events]
    flags: dict[tuple[int, str], tuple[Any, ...]] = {}
    alerts: dict[str, tuple[Any, ...]] = {}
    for batch, set_ in enumerate(sets):
        found: list[tuple[int, int, int, str, Event, list[Any]]] = []
        for event, digest in parsed:
            if event.batch == batch:
                alone = [
                    r for r in set_.rules if r.enabled and r.when.card is None and stateless(r.when, event)
                ]
                if alerting(set_, alone):
                    found.append(
                        (0, event.event_us // 1000 + event.later_ms, event.partition, digest, event, alone)
                    )
        known = [(event, digest) for event, digest in parsed if event.batch <= batch]
        touched = (
            {
                (event.partition, event.card, start)
                for event, _ in parsed
                if event.batch == batch
                for start in range(NOON_US - 2 * horizon_us, NOON_US + 60 * MINUTE_US, horizon_us or 1)
                if start <= event.event_us < start + 2 * horizon_us
            }
            if horizon_us
            else set()
        )
        for partition, card, start in touched:
            own = {d: e for e, d in known if e.partition == partition and e.card == card}
            for digest, event in own.items():
                if not start + horizon_us <= event.event_us < start + 2 * horizon_us:
                    continue
                matching = [r for r in set_.rules if r.enabled and matches(r, event, digest, own)]
                if not any(r.when.card for r in matching):
                    continue
                arrival = min(
                    e.event_us // 1000 + e.later_ms
                    for e, d in known
                    if e.partition == partition and d == digest
                )
                score = min(100, sum(r.weight for r in matching))
                flags[partition, digest] = (
                    batch,
                    arrival,
                    [r.id for r in matching],
                    score,
                    all(r.when.card for r in matching),
                )
                if alerting(set_, matching):
                    found.append((1, arrival, partition, digest, event, matching))
        for _, arrival, _, digest, _, matching in sorted(found, key=lambda one: one[:4]):
            score = min(100, sum(r.weight for r in matching))
            alerts.setdefault(digest, (batch, arrival, [r.id for r in matching], score))
    return flags, alerts


def digest_of(event: Event) -> str:
    fields = ("1", event.name, str(event.event_us), event.card, event.merchant, "Food", str(event.amount))
    return sha256("\x1f".join((*fields, "EUR", event.country, "pos")).encode()).hexdigest()


def stateless(when: Any, event: Event) -> bool:
    return (when.countries is None or event.country in when.countries) and (
        when.amount_over is None or event.amount > when.amount_over
    )


def matches(r: Any, event: Event, digest: str, own: Mapping[str, Event]) -> bool:
    if not stateless(r.when, event):
        return False
    card = r.when.card
    if card is None:
        return True
    past = [
        (e.event_us, d, e)
        for d, e in own.items()
        if (e.event_us, d) <= (event.event_us, digest)
        and e.event_us > event.event_us - card.within_minutes * MINUTE_US
    ]
    before = sorted(entry[:2] for entry in past if entry[1] != digest)
    asked = [
        (card.count_over, len(past)),
        (card.sum_over, sum(e.amount for _, _, e in past)),
        (card.countries_over, len({e.country for _, _, e in past})),
        (card.merchants_over, len({e.merchant for _, _, e in past})),
    ]
    under = card.since_previous_under_seconds
    return all(limit is None or value > limit for limit, value in asked) and (
        under is None or (bool(before) and event.event_us - before[-1][0] < under * 1_000_000)
    )


def alerting(set_: RuleSet, matching: Sequence[Any]) -> bool:
    score = min(100, sum(r.weight for r in matching))
    by_score = set_.alert_score is not None and bool(matching) and score >= set_.alert_score
    return by_score or any(r.action == "alert" for r in matching)


@settings(max_examples=250, deadline=None)
@given(logs(), st.integers(0, 1))
def test_the_recount_is_the_definition(log: tuple[list[Event], list[RuleSet]], more: int) -> None:
    events, sets = log
    horizon = max(one.card_horizon_seconds for one in sets)
    horizon += 60 * more if horizon else 0
    result = counted(events, sets, horizon=horizon)
    flags, alerts = definition(events, sets, horizon * 1_000_000)
    assert {
        key: (one.place, one.arrival_ms, list(one.verdict.rules), one.verdict.score, one.alone)
        for key, one in result.marked.items()
    } == flags
    assert {
        digest: (one.place, one.arrival_ms, list(one.verdict.rules), one.verdict.score)
        for digest, one in result.raised.items()
    } == alerts


@settings(max_examples=100, deadline=None)
@given(logs(), rule_sets())
def test_how_the_log_was_cut_into_batches_changes_no_flag_and_no_alerting_transaction(
    log: tuple[list[Event], list[RuleSet]], set_: RuleSet
) -> None:
    events, _ = log
    cut, whole = counted(events, set_), counted([event._replace(batch=0) for event in events], set_)
    assert {key: one[3:] for key, one in cut.marked.items()} == {
        key: one[3:] for key, one in whole.marked.items()
    }
    assert cut.raised.keys() == whole.raised.keys()


@settings(max_examples=100, deadline=None)
@given(logs(), rule_sets())
def test_one_record_more_takes_no_flag_away(log: tuple[list[Event], list[RuleSet]], set_: RuleSet) -> None:
    events, _ = log
    all_, fewer = counted(events, set_), counted(events[:-1] or events, set_)
    assert fewer.marked.keys() <= all_.marked.keys()
    for key, one in fewer.marked.items():
        assert set(one.verdict.rules) <= set(all_.marked[key].verdict.rules)


@settings(max_examples=100, deadline=None)
@given(logs(), rule_sets())
def test_hindsight_says_what_the_batches_come_to(
    log: tuple[list[Event], list[RuleSet]], set_: RuleSet
) -> None:
    """In one partition: of copies in two, which a recount tells apart, hindsight takes one."""
    events = [event._replace(partition=0) for event in log[0]]
    result = counted(events, set_)
    parse = parser(SETTINGS.events)
    transactions = [parse(event.value) for event in events]
    found = {
        transaction_digest(transaction): verdict
        for transaction, verdict in in_hindsight(set_, ((0, one) for one in transactions))
    }
    assert list(found) == list(dict.fromkeys(map(digest_of, events))), "each once, in the order of reading"
    assert {digest for digest, verdict in found.items() if verdict.alert} == result.raised.keys()
    alone = {
        digest: judge(set_)(one) for digest, one in zip(map(digest_of, events), transactions, strict=True)
    }
    for digest, verdict in found.items():
        assert verdict == (
            result.marked[0, digest].verdict if (0, digest) in result.marked else alone[digest]
        )


def test_of_copies_in_two_partitions_hindsight_takes_the_one_that_more_rules_match() -> None:
    set_ = rules(rule("often", card={"within_minutes": 10, "count_over": 1}))
    parse = parser(SETTINGS.events)
    first, second = (parse(Event(name, 0).value) for name in "ab")
    later = first if transaction_digest(first) > transaction_digest(second) else second
    for log in ([(0, first), (1, first), (1, second)], [(0, second), (1, first), (1, second)]):
        found = {one.transaction_id: verdict.rules for one, verdict in in_hindsight(set_, log)}
        assert found == {"a": (), "b": (), later.transaction_id: ("often",)}
