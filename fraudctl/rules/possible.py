"""Find rules that can never match, and conditions that have no effect.

A rule that can never match is a mistake that nobody notices. So is a value in a list that no event can have.
A condition that every event meets has no effect. The possible events are defined by
fraudctl/events/schema.py and by the settings `events`.
"""

import difflib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fraudctl.config.characters import holding
from fraudctl.config.model import EventsSettings
from fraudctl.events.schema import AMOUNT_MINOR_MAX, AMOUNT_MINOR_MIN, PATTERNS
from fraudctl.rules.countries import not_assigned
from fraudctl.rules.forest import Forest
from fraudctl.rules.model import SCORE_MAX, WEEKDAYS, Amounts, Rule, RuleSet, When

# Every value of the pattern [A-Z]{2}, see PATTERNS.
_COUNTRIES = frozenset(chr(65 + first) + chr(65 + second) for first in range(26) for second in range(26))
_HUNDREDTH = 10_000
_SHOWN = 8


@dataclass(frozen=True)
class Finding:
    """One part of a rule set that can never hold, or that has no effect.

    `kind` is "impossible" for a mistake that can never hold, and "idle" for a part that holds for every event
    or changes nothing. `way` is the path to it in the rules document.
    """

    kind: Literal["impossible", "idle"]
    rule: str | None
    way: tuple[str | int, ...]
    text: str


def findings(rules: RuleSet, events: EventsSettings) -> list[Finding]:
    """Return the impossible and idle parts of the rules, rule by rule."""
    found = [finding for number, rule in enumerate(rules.rules) for finding in _of_rule(number, rule, events)]
    found += _repeated(rules)
    if not rules.enabled:
        text = "every rule is switched off" if rules.rules else "there is no rule"
        found.append(Finding("idle", None, ("rules",), f"rules: {text}, so nothing is flagged"))
    most = min(SCORE_MAX, sum(rule.weight for rule in rules.enabled))
    if rules.alert_score is not None and rules.enabled and rules.alert_score > most:
        text = (
            f"alert_score: no score reaches {rules.alert_score}: the weights of all rules together are {most}"
        )
        found.append(Finding("idle", None, ("alert_score",), text))
    return found


def _repeated(rules: RuleSet) -> Iterator[Finding]:
    """Yield the rules that ask the same as one before them, in whatever order their lists are."""
    first: dict[str, str] = {}
    for number, rule in enumerate(rules.rules):
        if not rule.enabled:
            continue
        same = first.setdefault(_asked(rule.when), rule.id)
        if same != rule.id:
            text = f"it has the same conditions as rule {same}"
            yield Finding("idle", rule.id, ("rules", number, "when"), text)


def _asked(when: When) -> str:
    """Return the conditions as a text that does not depend on the order of lists without an order."""
    conditions = when.model_dump(mode="json", exclude_none=True)
    for name, value in conditions.items():
        if isinstance(value, list) and name != "hours_utc":
            conditions[name] = sorted(set(value))
    return json.dumps(conditions, sort_keys=True)


def _of_rule(number: int, rule: Rule, events: EventsSettings) -> Iterator[Finding]:
    when = rule.when

    def finding(kind: Literal["impossible", "idle"], names: Sequence[str], text: str) -> Finding:
        return Finding(kind, rule.id, ("rules", number, "when", *names), text)

    if not rule.enabled:  # it is as if it were not there, until somebody switches it on
        wrong = [*_strange_values(when, events)] or [
            (names, _said_of(names, text)) for names, text in _contradictions(when, events)
        ]
        yield from (finding("idle", names, f"{text} (the rule is switched off)") for names, text in wrong)
        return
    strange = [finding("impossible", names, text) for names, text in _strange_values(when, events)]
    # A list may be empty without its impossible values: do not report that as a second error.
    contradictions = [] if strange else list(_contradictions(when, events))
    yield from strange
    yield from (finding("impossible", names, _said_of(names, text)) for names, text in contradictions)
    if strange or contradictions:
        return
    yield from (finding("idle", names, text) for names, text in _no_countries(when))
    idle = list(_idle(when, events))
    # Every finding begins with the name of its condition; without any other condition the rule is idle.
    asking = {name for name, value in when if value is not None} - {names[0] for names, _text in idle}
    if not asking:
        yield finding("idle", (), "it matches every event: " + "; ".join(text for _names, text in idle))
        return
    for names, text in (*idle, *_superfluous(when, events)):
        yield finding("idle", names, _said_of(names, text))


_Said = tuple[Sequence[str], str]


def _said_of(names: Sequence[str], text: str) -> str:
    return f"{'.'.join(names)}: {text}"


def _strange_values(when: When, events: EventsSettings) -> Iterator[_Said]:
    """Yield the values that no event can have."""
    for name in ("categories", "not_categories"):
        for value in _list(when, name):
            if value not in events.categories:
                yield (name,), _no_category(value, name, events.categories)
    for name in ("amount_over", "amount_under"):
        limits = getattr(when, name)
        for category in limits if isinstance(limits, dict) else ():
            if category not in events.categories:
                yield (name, category), _no_category(category, name, events.categories)
    features = when.model.forest.features if when.model else ()
    for feature in features:
        category = feature.removeprefix("category=")
        if category != feature and category not in events.categories:
            yield ("model",), _no_category(category, "model", events.categories)
    for field, form in (
        ("country", "two capital letters, A to Z"),
        ("channel", "small letters, digits and underscores, a letter first, at most 32"),
    ):
        plural = "countries" if field == "country" else "channels"
        for name in (plural, f"not_{plural}"):
            for value in _list(when, name):
                if not re.fullmatch(PATTERNS[field], value):
                    yield (name,), _no_such(field, name, value, form)


def _no_countries(when: When) -> Iterator[_Said]:
    """Yield the codes that an event may hold, and that are no country's."""
    for name in ("countries", "not_countries"):
        values = _list(when, name)
        for value in values if not set(values) >= _COUNTRIES else ():
            text = not_assigned(value)
            if text:
                yield (name,), f"{name}: {text}"


def _no_category(value: str, condition: str, known: Collection[str]) -> str:
    near = [one for one in known if one.casefold() == value.strip().casefold()]
    near = near or difflib.get_close_matches(value, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(list(known)[:_SHOWN])}"
    shown = value + holding(value, known)
    return f"{shown} in {condition}: no event has this category (events.categories); {hint}"


def _no_such(field: str, condition: str, value: str, form: str) -> str:
    clear = value.strip().upper() if field == "country" else re.sub(r"[^a-z0-9]+", "_", value.strip().lower())
    fits = re.fullmatch(PATTERNS[field], clear)
    hint = f"; did you mean {clear}?" if fits else ""
    return f"{value!r}{holding(value)} in {condition}: no event has this {field}; it must be {form}{hint}"


def _contradictions(when: When, events: EventsSettings) -> Iterator[_Said]:
    """Yield the reasons why no event can meet all the conditions together."""
    out_of_bounds = list(_amounts_out_of_bounds(when))
    yield from out_of_bounds
    left = _categories(when, set(events.categories))
    if not left:
        yield _where(when, "categories"), f"no category is left: {_said(when, 'categories')}"
    elif not out_of_bounds and not any(_some_amount(when, category) for category in left):
        yield ("amount_over",), "no amount of any category is over the one limit and under the other"
    for name in ("countries", "channels"):
        wanted, unwanted = set(_list(when, name)), set(_list(when, f"not_{name}"))
        if wanted and wanted <= unwanted:
            yield _where(when, name), f"nothing is left: {_said(when, name)}"
    if set(_list(when, "not_countries")) >= _COUNTRIES:
        yield ("not_countries",), "it names every country that there can be"
    if when.hours_utc is not None and not _hours(*when.hours_utc):
        yield ("hours_utc",), "no hour is from 24 on or before 0; write [0, 24] for the whole day"
    if when.card is not None and (when.card.countries_over or 0) >= len(_COUNTRIES):
        yield ("card", "countries_over"), f"there are only {len(_COUNTRIES)} different countries"
    if when.model is not None and _score_bounds(when.model.forest)[1] <= when.model.score_over * _HUNDREDTH:
        most = _score_bounds(when.model.forest)[1] / _HUNDREDTH
        yield ("model", "score_over"), f"the highest score of this forest is {most:.2f} hundredths"


def _amounts_out_of_bounds(when: When) -> Iterator[_Said]:
    for limit, names in _limits(when.amount_over, "amount_over"):
        if limit >= AMOUNT_MINOR_MAX:
            yield names, f"no amount is over {limit}: the highest of an event is {AMOUNT_MINOR_MAX}"
    for limit, names in _limits(when.amount_under, "amount_under"):
        if limit <= AMOUNT_MINOR_MIN:
            yield names, f"no amount is under {limit}: the lowest of an event is {AMOUNT_MINOR_MIN}"


def _idle(when: When, events: EventsSettings) -> Iterator[_Said]:
    """Yield the conditions that every event meets; each begins with the name of the condition."""
    known = set(events.categories)
    over, under = when.amount_over, when.amount_under
    if isinstance(over, int) and over < AMOUNT_MINOR_MIN:
        yield ("amount_over",), f"every amount is over {over}"
    if isinstance(under, int) and under > AMOUNT_MINOR_MAX:
        yield ("amount_under",), f"every amount is under {under}"
    if isinstance(over, dict) and set(over) >= known and all(one < AMOUNT_MINOR_MIN for one in over.values()):
        yield ("amount_over",), "every amount of every category is over its limit"
    if (
        isinstance(under, dict)
        and set(under) >= known
        and all(one > AMOUNT_MINOR_MAX for one in under.values())
    ):
        yield ("amount_under",), "every amount of every category is under its limit"
    if when.hours_utc is not None and len(_hours(*when.hours_utc)) == 24:
        yield ("hours_utc",), "it names every hour"
    if set(when.weekdays or ()) == set(WEEKDAYS):
        yield ("weekdays",), "it names every weekday"
    if set(when.categories or ()) >= known:
        yield ("categories",), "it names every category"
    if set(when.countries or ()) >= _COUNTRIES:
        yield ("countries",), "it names every country that there can be"
    if when.model is not None and _score_bounds(when.model.forest)[0] > when.model.score_over * _HUNDREDTH:
        least = _score_bounds(when.model.forest)[0] / _HUNDREDTH
        yield ("model",), f"the lowest score of this forest is {least:.2f} hundredths"


def _superfluous(when: When, events: EventsSettings) -> Iterator[_Said]:
    """Yield parts of conditions that change nothing, because another condition is stricter."""
    for name in ("categories", "countries", "channels"):
        wanted, unwanted = _list(when, name), _list(when, f"not_{name}")
        both = [one for one in dict.fromkeys(wanted) if one in unwanted]
        if both:
            yield (f"not_{name}",), f"{_names(both)} in {name} and in not_{name}: it does not match"
        elif wanted and unwanted:
            yield (f"not_{name}",), f"it changes nothing: {name} names what matches"
    for name in (
        "weekdays",
        *(f"{sign}{kind}" for kind in ("categories", "countries", "channels") for sign in ("", "not_")),
    ):
        values = _list(when, name)
        twice = [one for one in dict.fromkeys(values) if values.count(one) > 1]
        if twice:
            yield (name,), f"{_names(twice)} twice in the list"
    allowed = _categories(when, set(events.categories))
    for name in ("amount_over", "amount_under"):
        limits = getattr(when, name)
        idle = [one for one in limits if one not in allowed] if isinstance(limits, dict) else []
        if idle:
            yield (name,), f"the limit for {_names(idle)} idle: other conditions exclude it"
        for category in allowed if isinstance(limits, dict) else ():
            if not _some_amount(when, category):
                yield (name, category), f"no amount of {category} meets the limits"
                break
    if when.card is not None and when.card.count_over is not None:
        different = max(when.card.merchants_over or 0, when.card.countries_over or 0)
        before = 1 if when.card.since_previous_under_seconds is not None else 0
        if max(different, before) >= when.card.count_over:
            yield ("card", "count_over"), "it changes nothing: another condition on the card asks for more"
    if when.card is not None and when.card.sum_over is not None:
        least = _lowest_amount(when, allowed)
        if least > when.card.sum_over:
            text = f"it holds for every event that the other conditions leave: each is {least} at least"
            yield ("card", "sum_over"), text


def _categories(when: When, known: set[str]) -> set[str]:
    """Return the categories that all conditions together allow, whatever the amount."""
    left = known & set(when.categories) if when.categories is not None else set(known)
    left -= set(when.not_categories or ())
    for limits in (when.amount_over, when.amount_under):
        if isinstance(limits, dict):  # a limit by category never holds for a category that it does not name
            left &= set(limits)
    return left


def _some_amount(when: When, category: str) -> bool:
    return _lowest(when, category) <= _highest(when, category)


def _lowest_amount(when: When, categories: Collection[str]) -> int:
    return min((_lowest(when, category) for category in categories), default=AMOUNT_MINOR_MIN)


def _lowest(when: When, category: str) -> int:
    over = when.amount_over
    limit = over.get(category, 0) if isinstance(over, dict) else over
    return AMOUNT_MINOR_MIN if limit is None else max(AMOUNT_MINOR_MIN, limit + 1)


def _highest(when: When, category: str) -> int:
    under = when.amount_under
    limit = under.get(category, AMOUNT_MINOR_MAX + 1) if isinstance(under, dict) else under
    return AMOUNT_MINOR_MAX if limit is None else min(AMOUNT_MINOR_MAX, limit - 1)


def _limits(given: Amounts | None, name: str) -> Iterator[tuple[int, Sequence[str]]]:
    if isinstance(given, dict):
        yield from ((limit, (name, category)) for category, limit in given.items())
    elif given is not None:
        yield given, (name,)


def _hours(start: int, end: int) -> set[int]:
    """Return the hours from `start` to before `end`; past midnight if `start` is not before `end`."""
    if start < end:
        return set(range(start, end))
    return {hour for hour in range(24) if hour >= start or hour < end}


def _score_bounds(forest: Forest) -> tuple[int, int]:
    """Return the lowest and the highest score that the leaves of the forest allow, in millionths."""
    leaves = [[value for node, value in enumerate(tree.value) if tree.is_leaf(node)] for tree in forest.trees]
    return sum(map(min, leaves)) // len(leaves), sum(map(max, leaves)) // len(leaves)


def _list(when: When, name: str) -> tuple[str, ...]:
    return getattr(when, name) or ()


def _where(when: When, name: str) -> Sequence[str]:
    for each in (f"not_{name}", name):
        if _list(when, each):
            return (each,)
    return ("amount_over",)


def _said(when: When, name: str) -> str:
    """Return the conditions on this field, for a message."""
    parts = [f"{each} {_shown(_list(when, each))}" for each in (name, f"not_{name}") if _list(when, each)]
    if name == "categories":
        for each in ("amount_over", "amount_under"):
            if isinstance(limits := getattr(when, each), dict):
                parts.append(f"{each} {_shown(tuple(limits))}")
    return ", ".join(parts)


def _shown(values: Sequence[str]) -> str:
    more = ", …" if len(values) > _SHOWN else ""
    return f"[{', '.join(values[:_SHOWN])}{more}]"


def _names(values: Sequence[str]) -> str:
    return f"{', '.join(values[:_SHOWN])} {'is' if len(values) == 1 else 'are'}"
