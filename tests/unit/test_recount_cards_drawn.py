"""What rules on a card's past make of drawn logs, against the definition, word by word."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fraudctl.recount.hindsight import in_hindsight
from fraudctl.recount.judgement import judge
from fraudctl.recount.parse import parser
from fraudctl.recount.raised import transaction_digest
from fraudctl.recount.recount import recount
from fraudctl.rules.model import RuleSet
from tests.support.card_events import MINUTE_US, NOON_US, SETTINGS, Event, counted, digest_of, rule, rules

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


# That the recount of long logs says the same is drawn once, by the first of these tests.
once = partial(counted, recounting=recount)


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
    cut, whole = once(events, set_), once([event._replace(batch=0) for event in events], set_)
    assert {key: one[3:] for key, one in cut.marked.items()} == {
        key: one[3:] for key, one in whole.marked.items()
    }
    assert cut.raised.keys() == whole.raised.keys()


@settings(max_examples=150, deadline=None)
@given(logs(), st.lists(rule_sets(), min_size=2, max_size=2), st.sampled_from(["aab", "abb", "aba", "aaa"]))
def test_cards_may_be_judged_once_for_all_batches_of_the_same_rules_in_a_row(
    log: tuple[list[Event], list[RuleSet]], two: list[RuleSet], order: str
) -> None:
    events, _ = log
    sets = [two["ab".index(name)] for name in order]
    numbers = [sum(one != other for one, other in pairwise(order[: end + 1])) for end in range(len(order))]
    merged = [sets[numbers.index(number)] for number in sorted(set(numbers))]
    horizon = max(one.card_horizon_seconds for one in sets)
    cut = once(events, sets, horizon=horizon)
    whole = once([event._replace(batch=numbers[event.batch]) for event in events], merged, horizon=horizon)
    assert {key: one[3:] for key, one in cut.marked.items()} == {
        key: one[3:] for key, one in whole.marked.items()
    }
    assert cut.raised.keys() == whole.raised.keys()


@settings(max_examples=100, deadline=None)
@given(logs(), rule_sets())
def test_one_record_more_takes_no_flag_away(log: tuple[list[Event], list[RuleSet]], set_: RuleSet) -> None:
    events, _ = log
    all_, fewer = once(events, set_), once(events[:-1] or events, set_)
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
    result = once(events, set_)
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
