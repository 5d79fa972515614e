"""Drain by `detect` beside a tutorial's defaults: 200 shuffle partitions and Hadoop's own file system."""

from benchmarks.runner import Context, Outcome
from benchmarks.services import THIS
from benchmarks.sides import detect, spark
from benchmarks.traffic import Traffic

PARTITIONS = 4


def run(context: Context) -> None:
    """Use fewer events than the drain: with 200 partitions it is very slow."""
    sizes = context.sizes
    loaded = context.services.load("defaults", PARTITIONS, Traffic(sizes.defaults_events))
    batch = sizes.defaults_batch
    context.note("defaults", f"{loaded.records:,} records, batches of {batch:,}; the first one is dropped")

    def drain() -> Outcome:
        with context.services.lane(context.now, loaded.topic, detect.settings(batch)) as lane:
            return detect.drain(lane, loaded)

    context.interleave(
        "defaults",
        {
            THIS: drain,
            "naive Spark, 200 partitions": lambda: spark.naive(
                context, loaded, batch, spark.DEFAULT_PARTITIONS
            ),
        },
        rounds=min(context.rounds, 5),
    )
