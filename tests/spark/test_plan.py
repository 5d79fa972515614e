"""The plan of the running query: one scan, one pass over each record, methods that the JIT compiles.

A plan that misses any of this gives the same results and takes twice the time or more, so that no other test
would notice.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fraudctl.clock import Deadline
from fraudctl.config.job import DetectorJob
from fraudctl.detector import transforms
from fraudctl.detector.collect import collect
from fraudctl.detector.foreach_batch import foreach_batch
from fraudctl.detector.intake import Intake
from fraudctl.rules.model import RuleSet, parse_rules
from tests.support import forests
from tests.support.streams import RULES, job

pytestmark = pytest.mark.spark

# HotSpot interprets larger methods for ever (-XX:-DontCompileHugeMethods is not for everybody's JVM).
LARGEST_METHOD = 8_000
BEGIN_MS = 1_773_144_000_000
LOOK_BACK_SECONDS = 600
EVENT = {
    "schema_version": 1,
    "transaction_id": "t-NUMBER",
    "event_time": "2026-03-10T12:00:00Z",
    "card_id": "c-1",
    "merchant_id": "m-1",
    "category": "Food",
    "amount_minor": 1250,
    "currency": "EUR",
    "country": "DE",
    "channel": "pos",
}
# What parsed the events before the JVM code did, and whatever hands rows to a Python process.
SLOW_EXPRESSIONS = re.compile(r"variant|parse_json|from_json|get_json_object|RLIKE|regexp", re.IGNORECASE)
PYTHON_NODES = re.compile(r"Python|Pandas|ArrowEval|MapInArrow", re.IGNORECASE)


class Plan:
    """The executed plan of one micro-batch, as the JVM has it."""

    def __init__(self, spark: SparkSession, root: Any) -> None:
        self._spark = spark
        self.text = str(root.treeString())
        self.shown = "\n" + "\n".join(line[:150] for line in self.text.splitlines())
        self._nodes = list(_nodes_of(root))
        self.kinds = Counter(node.getClass().getSimpleName() for node in self._nodes)

    @property
    def scans(self) -> int:
        return self.kinds["MicroBatchScanExec"]

    @property
    def reused_exchanges(self) -> int:
        return self.kinds["ReusedExchangeExec"]

    @property
    def exchanges(self) -> int:
        return self.kinds["ShuffleExchangeExec"]

    @property
    def intakes(self) -> int:
        """How often a record is taken in: a column's definition, not the uses of its name."""
        return len(re.findall(r"take_in\(", "\n".join(node.simpleString(9999) for node in self._nodes)))

    def largest_method(self) -> int:
        """The largest of all methods that Spark generates for this plan, in bytes of bytecode."""
        jvm: Any = self._spark._jvm
        compiler = jvm.org.apache.spark.sql.catalyst.expressions.codegen.CodeGenerator
        stages = [node for node in self._nodes if node.getClass().getSimpleName() == "WholeStageCodegenExec"]
        assert stages
        return max(int(compiler.compile(stage.doCodeGen()._2())._2().maxMethodCodeSize()) for stage in stages)


def _nodes_of(node: Any) -> Iterator[Any]:
    yield node
    children = node.children()
    for number in range(children.size()):
        yield from _nodes_of(children.apply(number))


@pytest.fixture
def the_job(tmp_path: Path) -> DetectorJob:
    return job(tmp_path)


def topic(spark: SparkSession) -> DataFrame:
    """Records without end, from a source of the same kind as Kafka's."""
    value = json.dumps(EVENT).replace("'", "''").split("NUMBER")
    return (
        spark.readStream.format("rate-micro-batch")
        .option("rowsPerBatch", 20)
        .option("numPartitions", 2)
        .option("startTimestamp", BEGIN_MS)
        .option("advanceMillisPerBatch", 1000)
        .load()
        .selectExpr(
            f"CAST(concat('{value[0]}', value, '{value[1]}') AS binary) AS value",
            "CAST(value % 2 AS int) AS partition",
            "value AS offset",
            "timestamp",
        )
    )


def plan_of(spark: SparkSession, frame: DataFrame, intake: Intake, the_job: DetectorJob) -> Plan:
    """Run the query for some batches; the plan of a batch that is not its first."""

    def take(batch: Any, _batch_id: int) -> None:
        content = collect(batch, intake)
        assert content.windows
        assert sum(own["admitted"] for own in content.intake.values()) == 20

    writer = frame.writeStream.outputMode("update").option("checkpointLocation", str(the_job.checkpoint))
    query = foreach_batch(writer, take).start()
    try:
        deadline = Deadline(120)
        while True:
            failure = query.exception()
            assert failure is None, failure
            progress = query.lastProgress
            if progress is not None and progress["batchId"] >= 1:
                execution = query._jsq.streamingQuery().lastExecution()
                return Plan(spark, execution.executedPlan())
            assert not deadline.expired, "no batch came"
            sleep(0.05)
    finally:
        query.stop()


def running(
    spark: SparkSession, the_job: DetectorJob, rules: RuleSet = RULES, look_back_seconds: int = 0
) -> Plan:
    the_job = the_job.model_copy(update={"card_horizon_seconds": look_back_seconds})
    intake = Intake(spark, the_job, rules)
    return plan_of(spark, transforms.output_rows(topic(spark), intake, the_job, rules), intake, the_job)


def many_rules(number: int, *, card: bool) -> RuleSet:
    """So many rules: conditions of all kinds, forests, and where asked for some on the card's past."""
    draw = random.Random(number)
    rules: list[dict[str, object]] = []
    for place in range(number):
        when: dict[str, object] = {
            "amount_over": {"Food": place, "Retail": 2 * place},
            "hours_utc": [place % 24, (place + 5) % 24],
            "countries": ["DE", "FR", f"{chr(65 + place % 26)}X"],
            "not_channels": ["atm", f"a{place}"],
        }
        if place % 10 == 0:
            model = forests.drawn(
                draw, {"amount_minor": range(1000), "hour_utc": range(23), "category=Food": [0]}
            )
            when = {"model": {"forest": model, "score_over": 40}}
        if card and place % 10 == 1:
            when["card"] = {"within_minutes": 10, "count_over": place}
        rules.append({"id": f"r-{place}", "reason": "drawn", "weight": 1, "when": when})
    return parse_rules({"rules": rules})


def test_without_rules_on_cards_the_topic_is_read_once(spark: SparkSession, the_job: DetectorJob) -> None:
    plan = running(spark, the_job)
    assert (plan.scans, plan.exchanges, plan.reused_exchanges, plan.intakes) == (1, 2, 0, 1), plan.shown
    assert not SLOW_EXPRESSIONS.search(plan.text), plan.shown
    assert not any(PYTHON_NODES.search(kind) for kind in plan.kinds), plan.shown
    assert plan.kinds["SumBySlideExec"] == 1, plan.shown
    assert plan.largest_method() <= LARGEST_METHOD


def test_with_a_look_back_the_topic_is_read_once_and_shuffled_once(
    spark: SparkSession, the_job: DetectorJob
) -> None:
    plan = running(spark, the_job, look_back_seconds=LOOK_BACK_SECONDS)
    # One for both branches, then one for each state: of digests, windows and cards.
    assert (plan.scans, plan.exchanges, plan.reused_exchanges, plan.intakes) == (1, 4, 1, 1), plan.shown
    assert not SLOW_EXPRESSIONS.search(plan.text), plan.shown
    assert not any(PYTHON_NODES.search(kind) for kind in plan.kinds), plan.shown
    assert plan.kinds["SumBySlideExec"] == 1, plan.shown
    assert plan.largest_method() <= LARGEST_METHOD


@pytest.mark.parametrize("look_back_seconds", [0, LOOK_BACK_SECONDS])
def test_two_hundred_rules_and_forests_change_nothing(
    spark: SparkSession, the_job: DetectorJob, look_back_seconds: int
) -> None:
    rules = many_rules(200, card=look_back_seconds > 0)
    plan = running(spark, the_job, rules, look_back_seconds)
    assert (plan.scans, plan.reused_exchanges, plan.intakes) == (1, int(look_back_seconds > 0), 1), plan.shown
    assert not any(PYTHON_NODES.search(kind) for kind in plan.kinds), plan.shown
    assert plan.kinds["SumBySlideExec"] == 1, plan.shown
    assert plan.largest_method() <= LARGEST_METHOD


# --- The tests above can fail: without what `shared` does, the topic is read twice -------------------------


def test_branches_that_share_no_exchange_read_the_topic_twice(
    spark: SparkSession, the_job: DetectorJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_exchange(admitted: DataFrame, _partitions: int) -> DataFrame:
        others = [name for name in admitted.columns if name not in ("digest", "event_time")]
        return admitted.select("digest", "event_time", F.struct(*others).alias("event"))

    monkeypatch.setattr(transforms, "shared", without_exchange)
    plan = running(spark, the_job, look_back_seconds=LOOK_BACK_SECONDS)
    assert (plan.scans, plan.reused_exchanges, plan.intakes) == (2, 0, 2), plan.shown
