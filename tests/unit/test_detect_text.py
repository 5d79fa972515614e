"""What a run of the detector says about itself."""

from pathlib import Path

from fraudctl.config.job import DetectorJob
from fraudctl.operations.detect import Detected
from fraudctl.operations.place_detector import Place
from fraudctl.operations.plan_detector import DetectorPlan
from fraudctl.runtime.spark_submit import SparkSubmit
from fraudctl.ui import as_json
from fraudctl.ui.text.detect import plan_document, summary


def detected(batches: int, idle: int, query: str = "a-query") -> Detected:
    return Detected(
        batches=batches,
        idle_batches=idle,
        records=500,
        fates={"admitted": 500},
        duplicates=0,
        dropped_by_watermark=0,
        windows_written=40,
        alerts=3,
        rule_sets=("a" * 64,),
        trigger_ms={},
        query_id=query,
        epoch=1,
        log=Path("/logs/detector.log"),
    )


def test_batches_without_a_record_are_counted_apart() -> None:
    """A line is shown for each of the others: the two numbers agree."""
    assert summary(detected(9, 1)).splitlines()[0] == "batches: 8, and 1 without a record"
    assert summary(detected(8, 0)).splitlines()[0] == "batches: 8"


def test_a_run_that_never_began_says_so() -> None:
    assert summary(detected(0, 0, query="")).startswith("stopped before the query had started")


def test_a_plan_as_json_holds_no_secret() -> None:
    submit = SparkSubmit(
        (
            "spark-submit",
            "--driver-java-options",
            "-Djavax.net.ssl.trustStorePassword=hush -Dx=1",
            "job.json",
        ),
        {"JAVA_HOME": "/java", "MY_TOKEN": "hush", "PROXY": "http://me:hush@proxy:1"},
    )
    job = DetectorJob.model_construct(topic="transactions", checkpoint=Path("/data/checkpoint"))
    place = Place(submit, ("spark-submit",), {"PASSWORD": "hush"}, lambda: None)
    plan = DetectorPlan(job, Path("/run/job.json"), Path("/run/spark"), place, "127.0.0.1:9092", {})
    document = plan_document(plan)
    assert document["environment"] == {
        "JAVA_HOME": "/java",
        "MY_TOKEN": "***",
        "PROXY": "http://me:***@proxy:1",
    }
    text = as_json.dumps(document)
    assert "hush" not in text
    assert '"/data/checkpoint"' in text
    assert "-Dx=1" in text
