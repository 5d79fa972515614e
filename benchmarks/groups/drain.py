"""Drain a preloaded log: `detect` with its database beside an earlier commit, naive Spark, Flink, limits."""

from functools import partial

from benchmarks.runner import Context, Outcome, RunSide
from benchmarks.services import Code
from benchmarks.sides import detect, flink, limits, spark
from benchmarks.traffic import Loaded, Traffic

PARTITIONS = 4


def run(context: Context) -> None:
    """Load one log, and let every side read it from an empty state."""
    sizes = context.sizes
    loaded = context.services.load("drain", PARTITIONS, Traffic(sizes.drain_events))
    context.note(
        "drain",
        f"{loaded.records:,} records of {loaded.events:,} events on {PARTITIONS} partitions "
        f"({loaded.copies:,} copies, {loaded.late:,} late, {loaded.malformed:,} malformed), batches of "
        f"{sizes.drain_batch:,}, heap {detect.HEAP}; dropped as warm-up: the first batch of each run, and of "
        f"Flink a job over as many records",
    )
    batch = sizes.drain_batch
    verified: set[str] = set()
    sides: dict[str, RunSide] = {
        code.name: partial(_detect, context, code, loaded, verified) for code in context.codes
    }
    sides |= {
        "naive Spark": lambda: spark.naive(context, loaded, batch, partitions=2),
        "Flink": lambda: flink.drain(context, loaded, deduplicate=True, warm_up=batch),
        "Flink, no dedupe": lambda: flink.drain(context, loaded, deduplicate=False, warm_up=batch),
        "Spark scan": lambda: spark.scan(context, loaded, batch),
        "consume": lambda: limits.consume(context, loaded, decode=False),
        "consume + msgspec": lambda: limits.consume(context, loaded, decode=True),
    }
    context.interleave("drain", sides)


def _detect(context: Context, code: Code, loaded: Loaded, verified: set[str]) -> Outcome:
    """Drain once; the first time of each code also have what it stored recounted."""
    with context.services.lane(code, loaded.topic, detect.settings(context.sizes.drain_batch)) as lane:
        outcome = detect.drain(lane, loaded)
        if code.name not in verified:
            proof = detect.verify(lane, loaded)
            verified.add(code.name)
            context.note(
                "drain",
                f"{code.name}: verify-idempotency agrees on every row "
                f"({proof.values['events_per_second']:,.0f} events/s)",
            )
        return outcome
