"""What a run of the detector says about itself."""

from pathlib import Path

from fraudctl.config.job import DetectorJob
from fraudctl.operations.detect.placement import Place
from fraudctl.operations.detect.plan import DetectorPlan
from fraudctl.operations.detect.supervise import Batch, Detected
from fraudctl.runtime.jvm.spark_submit import SparkSubmit
from fraudctl.ui import as_json
from fraudctl.ui.text.detect import line, plan_document, summary


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


def batch(read: int, behind: int) -> Batch:
    return Batch(
        batch_id=7,
        replayed=False,
        windows=30,
        alerts=1,
        flags=0,
        rule_set=None,
        fates={"admitted": read},
        duplicates=0,
        dropped_by_watermark=0,
        trigger_ms=2_000,
        watermark_ms=0,
        held_back_seconds=0,
        state_rows=10,
        behind=behind,
        end_offsets={"0": read},
    )


def test_how_long_catching_up_takes_is_told() -> None:
    assert line(batch(100_000, 1_000_000)).endswith(", behind 1,000,000 (about 20 s)")
    assert line(batch(1_000, 600_000)).endswith(", behind 600,000 (about 20 min)")


def test_a_detector_that_is_level_is_not_behind() -> None:
    """What arrives while a batch is at work is read by the next one."""
    assert "behind" not in line(batch(500, 480))
    assert "behind" not in line(batch(500, 0))


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
