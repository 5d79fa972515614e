"""Drain by `detect` with one thread of Spark and with two."""

from functools import partial

from benchmarks.runner import Context, Outcome, RunSide
from benchmarks.sides import detect
from benchmarks.traffic import Loaded, Traffic

PARTITIONS = 4


def run(context: Context) -> None:
    """Change nothing but spark.master."""
    sizes = context.sizes
    loaded = context.services.load("cores", PARTITIONS, Traffic(sizes.cores_events))
    context.note(
        "cores", f"{loaded.records:,} records, batches of {sizes.drain_batch:,}; the first is dropped"
    )
    masters = ("local[1]", "local[2]")
    sides: dict[str, RunSide] = {master: partial(_drain, context, loaded, master) for master in masters}
    context.interleave("cores", sides)


def _drain(context: Context, loaded: Loaded, master: str) -> Outcome:
    settings = detect.settings(context.sizes.drain_batch, SPARK__MASTER=master)
    with context.services.lane(context.now, loaded.topic, settings) as lane:
        return detect.drain(lane, loaded)
