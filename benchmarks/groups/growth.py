"""Growth: what an event costs as categories, cards, live keys, history and partitions grow."""

import json
from collections.abc import Callable, Mapping
from functools import partial

import psycopg

from benchmarks import traffic
from benchmarks.runner import Context, Outcome, RunSide
from benchmarks.services import Lane
from benchmarks.sides import detect
from benchmarks.traffic import Loaded, Traffic

PARTITIONS = 4
_KNOWN = ("Retail", "Food", "Electronics")
_CATEGORIES = (3, 100, 1_000)
_CARDS = (5_000, 100_000, 1_000_000)
_RATES = (83.0, 830.0, 8_300.0)
_HISTORY_ROWS = (0, 500_000, 5_000_000)
_PARTITIONS = (1, 4, 24)
_MOST_ROUNDS = 3
# Windows of years long gone: they lie in the table, and no batch touches them.
_HISTORY = """
    INSERT INTO fraud.fraud_metrics
           (window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor)
    SELECT minute, minute + interval '10 minutes', category, 1, 0, 1, 0
      FROM generate_series(timestamptz '2001-01-01', timestamptz '2001-01-01' + %s * interval '1 minute',
                           interval '1 minute') AS minute,
           unnest(%s::text[]) AS category
"""
Prepare = Callable[[Lane], None]


def run(context: Context) -> None:
    """Change one thing at a time, three values each."""
    events = context.sizes.growth_events
    context.note(
        "growth", f"drains of {events:,} events, one property changed at a time; the first batch dropped"
    )
    _series(context, "categories", {
        count: (Traffic(events, categories=_names(count)), _categories(count)) for count in _CATEGORIES
    })  # fmt: skip
    _series(context, "cards", {count: (Traffic(events, cards=count), {}) for count in _CARDS})
    _series(context, "rate", {rate: (Traffic(events, rate), {}) for rate in _RATES})
    _partitions(context)
    _history(context)


def _names(count: int) -> tuple[str, ...]:
    return (*_KNOWN, *(f"Category {number}" for number in range(len(_KNOWN), count)))


def _categories(count: int) -> dict[str, str]:
    return {"EVENTS__CATEGORIES": json.dumps(_names(count))}


def _series(context: Context, name: str, values: Mapping[float, tuple[Traffic, dict[str, str]]]) -> None:
    """Drain a log of its own for each value, in turn."""
    sides: dict[str, RunSide] = {}
    topics = []
    for number, (value, (log, settings)) in enumerate(values.items()):
        loaded = context.services.load(f"growth-{name}-{number}", PARTITIONS, log)
        topics.append(loaded.topic)
        sides[f"{value:,.0f}"] = partial(_drain, context, loaded, settings)
    context.interleave(f"growth-{name}", sides, rounds=min(_MOST_ROUNDS, context.rounds))
    for topic in topics:
        traffic.delete_topic(context.services.bootstrap_servers, topic)


def _partitions(context: Context) -> None:
    sides: dict[str, RunSide] = {}
    for count in _PARTITIONS:
        log = Traffic(context.sizes.growth_events)
        loaded = context.services.load(f"growth-partitions-{count}", count, log)
        sides[str(count)] = partial(_drain, context, loaded, {})
    context.interleave("growth-partitions", sides, rounds=min(_MOST_ROUNDS, context.rounds))


def _history(context: Context) -> None:
    loaded = context.services.load("growth-history", PARTITIONS, Traffic(context.sizes.growth_events))
    sides: dict[str, RunSide] = {
        f"{rows:,}": partial(_drain, context, loaded, {}, partial(_fill, rows)) for rows in _HISTORY_ROWS
    }
    context.interleave("growth-history", sides, rounds=min(_MOST_ROUNDS, context.rounds))


def _fill(rows: int, lane: Lane) -> None:
    with psycopg.connect(lane.dsn) as connection:
        if rows:
            connection.execute(_HISTORY, (rows // len(_KNOWN) - 1, list(_KNOWN)))
    with psycopg.connect(lane.dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE fraud.fraud_metrics")


def _drain(
    context: Context, loaded: Loaded, settings: dict[str, str], prepare: Prepare = lambda _lane: None
) -> Outcome:
    batch = max(1, context.sizes.growth_events // 6)
    with context.services.lane(context.now, loaded.topic, detect.settings(batch, **settings)) as lane:
        prepare(lane)
        return detect.drain(lane, loaded)
