"""Batches of one size while the deduplication's live keys grow: batch time must follow the batch.

The log first holds copies of one batch, which warm the JVM up and add no key, and then only new events, all
within the time for which keys are kept. So a run passes every number of keys on its way.
"""

import statistics
from functools import partial

from benchmarks import traffic
from benchmarks.errors import BenchError
from benchmarks.figures import Batch
from benchmarks.runner import Context, Outcome, RunSide
from benchmarks.services import Code
from benchmarks.sides import detect
from benchmarks.traffic import Loaded, Traffic

PARTITIONS = 4
_COPIES = 9
# So many batches around a number of keys are taken together.
_AROUND = 3
# All events lie within five minutes, a third of the time for which their keys are kept.
_SPAN_SECONDS = 300.0
# The commit before is given up beyond this: its state outgrows the heap and its batches take minutes.
_EARLIER_KEYS = 1_000_000
_SETTINGS = {"SPARK__DRIVER_MEMORY": "6g"}


def run(context: Context) -> None:
    """Let this commit pass all numbers of keys, and the earlier one the smaller ones."""
    sizes = context.sizes
    steps = {context.now: sizes.key_steps}
    if context.against:
        steps[context.against] = tuple(step for step in sizes.key_steps if step <= _EARLIER_KEYS)
    context.note(
        "keys",
        f"batches of {sizes.key_batch:,} records, heap {_SETTINGS['SPARK__DRIVER_MEMORY']}; {_COPIES} "
        f"batches of copies come first and are dropped; medians of {_AROUND} batches at "
        + "; ".join(
            f"{code.name}: {', '.join(f'{step:,}' for step in some)} keys" for code, some in steps.items()
        ),
    )
    for index, (code, some) in enumerate(steps.items()):
        loaded = _load(context, f"keys-{index}", some[-1])
        sides: dict[str, RunSide] = {code.name: partial(_drain, context, code, loaded, some)}
        context.interleave("keys", sides, rounds=min(2, context.rounds))
        traffic.delete_topic(context.services.bootstrap_servers, loaded.topic)


def _load(context: Context, topic: str, keys: int) -> Loaded:
    batch = context.sizes.key_batch
    plain = {"copies": 0.0, "late": 0.0, "malformed": 0.0, "in_order": True}
    first = Traffic(batch, batch / _SPAN_SECONDS, **plain)
    new = Traffic(keys, keys / _SPAN_SECONDS, unique_from=batch, **plain)
    return context.services.load(topic, PARTITIONS, *[first] * (_COPIES + 1), new)


def _drain(context: Context, code: Code, loaded: Loaded, steps: tuple[int, ...]) -> Outcome:
    batch = context.sizes.key_batch
    with context.services.lane(code, loaded.topic, detect.settings(batch, **_SETTINGS)) as lane:
        outcome = detect.drain(lane, loaded)
        lines = [line for line in detect.read_lines(lane.progress_file) if "end_offsets" in line]
        batches = detect.batches(lines)
    found = _timed(batches, batch)
    times = [_around(found, step) * 1000 for step in steps]
    values = {"first_ms": times[0], "last_ms": times[-1], "growth": times[-1] / times[0]}
    if len(times) > 2:
        values["middle_ms"] = times[1]
    rounded = {name: round(value, 2) for name, value in values.items()}
    memory = {"peak_rss_mb": outcome.values["peak_rss_mb"]}
    series = {
        "live_keys": [float(keys) for keys, _ in found],
        "batch_seconds": [round(seconds, 3) for _, seconds in found],
    }
    return Outcome(rounded | memory, outcome.cpu_seconds, outcome.load, series)


def _timed(batches: list[Batch], size: int) -> list[tuple[int, float]]:
    """Return for each full batch of new events how many keys were live after it, and its seconds."""
    full = [batch for batch in batches if batch.records >= 0.9 * size]
    return [((number + 2) * size, batch.seconds) for number, batch in enumerate(full[_COPIES + 1 :])]


def _around(found: list[tuple[int, float]], keys: int) -> float:
    """Return the median time of the batches that came closest to a number of keys."""
    if len(found) < _AROUND:
        raise BenchError(f"there are {len(found)} batches of new events, and {_AROUND} are needed")
    nearest = sorted(found, key=lambda pair: abs(pair[0] - keys))[:_AROUND]
    return statistics.median(seconds for _, seconds in nearest)
