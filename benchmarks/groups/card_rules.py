"""Rules on a card's past, and forests: the time of a batch with each, beside the time without them."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.figures import percentile
from benchmarks.runner import Context, Outcome, RunSide
from benchmarks.services import call
from benchmarks.sides import detect
from benchmarks.traffic import Loaded, Traffic

PARTITIONS = 3
# By name: how many minutes rules look back, and whether a forest is among them.
SIDES = {
    "without": (0, False),
    "10 min": (10, False),
    "2 h": (120, False),
    "forest": (0, True),
    "forest, 10 min": (10, True),
}
# The first batches compile code and fill caches.
_WARM_UP_BATCHES = 3


def run(context: Context) -> None:
    """Drain one log under each file of rules, and verify what was stored the first time."""
    sizes = context.sizes
    # The simulator's own pace: a card's past is then as full as it is meant to be.
    loaded = context.services.load(
        "card-rules", PARTITIONS, Traffic(sizes.rules_events, events_per_second=10_000 / 86_400)
    )
    context.note(
        "card-rules",
        f"{loaded.records:,} records at the preset's own pace, batches of {sizes.rules_batch:,}, the first "
        f"{_WARM_UP_BATCHES} of each run dropped; every first run is verified",
    )
    folder = context.scratch()
    sides: dict[str, RunSide] = {}
    for name, (minutes, learned) in SIDES.items():
        if learned and not sizes.with_forests:
            continue
        forest = _forest(context, minutes, folder) if learned else None
        file = folder / f"{name.replace(' ', '-').replace(',', '')}.json"
        file.write_text(json.dumps(_rules(minutes, forest)), encoding="utf-8")
        sides[name] = partial(_drain, context, loaded, file, set())
    context.interleave("card-rules", sides)


def _drain(context: Context, loaded: Loaded, rules: Path, verified: set[Path]) -> Outcome:
    settings = detect.settings(context.sizes.rules_batch, RULES__FILE=str(rules))
    with context.services.lane(context.now, loaded.topic, settings) as lane:
        outcome = detect.drain(lane, loaded)
        if rules not in verified:
            detect.verify(lane, loaded)
            verified.add(rules)
        batches = [one for one in detect.batches(detect.read_lines(lane.progress_file)) if one.records]
    usual = [batch.seconds * 1000 for batch in batches[_WARM_UP_BATCHES:]]
    values = outcome.values | {"trigger_p50_ms": round(percentile(usual, 0.5), 1)}
    return Outcome(values, outcome.cpu_seconds, outcome.load, outcome.series)


def _forest(context: Context, minutes: int, folder: Path) -> str:
    """Return the file of a forest that looks back so far."""
    asked = ("train", "--features", "stream", "--preset", "everyday", "--seed", "1")
    made = call(context.now, folder, {}, *asked, "--within-minutes", str(minutes), "--out", str(folder))
    return str(made["file"])


def _rules(minutes: int, forest: str | None) -> dict[str, Any]:
    """Return two rules on the transaction itself, three on the card's past, and the forest."""
    found: list[dict[str, Any]] = [
        {"id": "dear", "reason": "dear", "when": {"amount_over": 60_000}},
        {"id": "night", "reason": "at night", "when": {"hours_utc": [1, 5], "amount_over": 20_000}},
    ]
    asked = {
        "often": {"count_over": 5},
        "spent": {"sum_over": 200_000},
        "hopping": {"countries_over": 1, "since_previous_under_seconds": 300},
    }
    for name, condition in asked.items() if minutes else ():
        card = {"within_minutes": minutes, **condition}
        found.append({"id": name, "reason": name, "action": "alert", "when": {"card": card}})
    if forest is not None:
        model = {"file": forest, "score_over": 10}
        found.append({"id": "learned", "reason": "learned", "action": "alert", "when": {"model": model}})
    return {"rules": found}
