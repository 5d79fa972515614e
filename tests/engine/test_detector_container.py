"""The detector in a container: supervised, stopped, killed and found again as a local process is."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest

from tests.e2e import test_time_zones as time_zones
from tests.engine import conftest
from tests.engine.conftest import Contained, NewContained
from tests.support import scenario
from tests.support.dst_log import MINUTES, NIGHTS
from tests.support.raw_log import CREATE_TIME
from tests.support.runtimes import CLUSTER, CONTAINER

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def one(engine: docker.DockerClient) -> Iterator[Contained]:
    """A stack whose detector runs in a container; each test leaves it without one."""
    made = conftest.contained(engine, CONTAINER.environ)
    try:
        made.stack.up()
        yield made
    finally:
        conftest.discard(made)


def detector(one: Contained) -> Any:
    """Its container, while it runs."""
    found = one.containers().get("detector")
    return found if found is not None and found.status == "running" else None


def begin(one: Contained) -> scenario.Running:
    """A detector that has landed something of what is being produced."""
    running = scenario.start(one.stack, "detect", "--json")
    one.stack.run("produce", "--rate", "1000", "--count", "600")
    scenario.wait_for("a landed batch", lambda: scenario.landed_records(one.stack) > 0)
    return running


def verified(one: Contained) -> None:
    one.stack.run("detect", "--until-caught-up")
    assert one.stack.json("verify-idempotency")["verdict"] == "ok"
    assert detector(one) is None


def test_it_is_supervised_and_stops_cleanly(one: Contained) -> None:
    """Intent: Ctrl-C finishes the batch; meanwhile nothing tells a secret, and a second one is refused."""
    running = begin(one)
    found = detector(one)
    assert one.stack.json("status")["services"]["detector"]["state"] == "running"
    refused = one.stack.run("detect", check=False)
    assert refused.returncode == 3
    assert "runs already" in refused.stderr
    assert found.attrs["Config"]["User"] == "185:185"
    assert found.attrs["HostConfig"]["PortBindings"] in ({}, None)
    tell_no_secret(one, found)
    running.interrupt()
    detected = json.loads(running.finish())
    assert detected["records"] >= 600
    assert one.containers().keys() == {"secrets", "kafka", "postgres"}
    verified(one)


def tell_no_secret(one: Contained, found: Any) -> None:
    """Not the engine, a log, a process, Spark's own configuration, nor what the run was told."""
    secrets = [
        file.read_text(encoding="utf-8").strip() for file in (one.stack.root / "secrets").rglob("*.password")
    ]
    assert len(secrets) >= 5
    inside = found.exec_run(["sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline"]).output
    told = [json.dumps(found.attrs), found.logs().decode(), inside.decode(errors="replace")]
    assert "spark.redaction.regex" in told[2]
    told += [file.read_text(encoding="utf-8") for file in (one.stack.root / "run").glob("*.json*")]
    told += [file.read_text(encoding="utf-8") for file in (one.stack.root / "logs").iterdir()]
    told += [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [secret for secret in secrets if any(secret in text for text in told)] == []
    # The one that it is given it can read, and nobody else's.
    assert found.exec_run(["cat", "/run/secrets/writer.password"]).output.decode().strip() in secrets
    assert found.exec_run(["ls", str(one.stack.root / "secrets")]).exit_code != 0


def test_docker_stop_finishes_the_batch(one: Contained) -> None:
    running = begin(one)
    detector(one).stop(timeout=60)
    running.finish()
    verified(one)


def test_the_container_ends_with_its_attendant_and_is_succeeded_at_once(one: Contained) -> None:
    """Intent: kill -9 of the process that is supervised leaves no Spark behind that writes on."""
    running = begin(one)
    pid = scenario.detector_pid(one.stack)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    running.finish(codes=(4,))
    assert "before it could say why" in running.stderr
    scenario.wait_for("the container's end", lambda: detector(one) is None, 30)
    verified(one)


def test_a_killed_container_is_told_and_costs_nothing(one: Contained) -> None:
    running = begin(one)
    detector(one).kill()
    running.finish(codes=(4,))
    assert "before it could say why" in running.stderr
    assert "nothing is lost" in running.stderr
    verified(one)


def test_replays_run_in_a_container_too(one: Contained) -> None:
    one.stack.run("produce", "--rate", "1000", "--count", "300")
    verified(one)
    again = one.stack.json("replay", "--last-batches", "1")
    assert again["hash_before"] == again["hash_after"]
    one.stack.run("replay", "--rebuild", "--apply", "--yes")
    one.stack.run("produce", "--rate", "1000", "--count", "300")
    verified(one)


def test_down_stops_it_first(new_contained: NewContained) -> None:
    one = new_contained(CONTAINER.environ)
    one.stack.up()
    one.stack.run("detect", "--detach")
    assert detector(one) is not None
    one.stack.down()
    assert one.leftovers() == []
    assert not scenario.leftovers(one.stack.home)


def test_an_image_of_one_s_own(one: Contained, engine: docker.DockerClient) -> None:
    """The shipped Dockerfile makes an image that runs the detector."""
    folder = Path(__file__).parents[2] / "compose" / "spark"
    engine.images.build(path=str(folder), tag="fraudctl-test-spark:1", rm=True)
    try:
        own = {"FRAUDCTL_DOCKER__SPARK_IMAGE": "fraudctl-test-spark:1"}
        one.stack.run("produce", "--rate", "1000", "--count", "300")
        one.stack.run("detect", "--until-caught-up", env=own)
        assert one.stack.json("verify-idempotency")["verdict"] == "ok"
    finally:
        engine.images.remove("fraudctl-test-spark:1", force=True)


def test_an_image_that_is_not_to_be_had(one: Contained) -> None:
    done = one.stack.run(
        "detect", env={"FRAUDCTL_DOCKER__SPARK_IMAGE": "localhost:1/nobody/spark:0"}, check=False
    )
    assert done.returncode == 4
    assert "set docker.spark_image to a mirror" in done.stderr


def test_an_image_without_python_is_refused(one: Contained) -> None:
    done = one.stack.run("detect", env={"FRAUDCTL_DOCKER__SPARK_IMAGE": "postgres:17"}, check=False)
    assert done.returncode == 3
    assert "has no Python; the detector needs 3.11" in done.stderr
    assert "docker build" in done.stderr


def test_a_cluster_that_gives_no_executor_is_not_waited_for_for_ever(new_contained: NewContained) -> None:
    """Intent: no worker from the start, and one that goes away later, both end in exit 5 in time."""
    one = new_contained({**CLUSTER.environ, "FRAUDCTL_SPARK__EXECUTOR_SECONDS": "10"})
    one.stack.up()
    running = begin(one)
    one.containers()["spark-worker"].kill()
    running.finish(codes=(5,))
    assert "has given no executor for 10 s" in running.stderr
    seen = json.loads(one.stack.run("status", "--json", check=False).stdout)
    states = {name: each["state"] for name, each in seen["spark"].items()}
    assert (seen["healthy"], states) == (False, {"spark-master": "running", "spark-worker": "stopped"})
    done = one.stack.run("detect", check=False)
    assert done.returncode == 5, done.stderr
    assert "no worker is registered there" in done.stderr
    assert one.stack.json("up")["changed"] == ["spark-worker started"]
    verified(one)
    one.containers()["spark-master"].kill()
    done = one.stack.run("detect", check=False)
    assert done.returncode == 4, done.stderr
    assert "the Spark master at spark://spark-master:7077 does not answer" in done.stderr


def test_no_time_zone_changes_a_row(new_contained: NewContained) -> None:
    """Intent: under New York's clocks, as they go back, containers count what this machine does in UTC.

    Observables: the same rows from Spark in a container under that TZ as from a rebuild by Spark on this
    machine under UTC, as a client of either zone reads them.
    """
    one = new_contained(
        {**CONTAINER.environ, **CREATE_TIME, "TZ": "America/New_York", "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0"}
    )
    one.stack.up()
    assert time_zones.fill(one.stack)["utc_offsets"][1] == -5 * 3600
    one.stack.run("detect", "--until-caught-up")
    assert one.stack.json("verify-idempotency")["verdict"] == "ok"
    change = NIGHTS["New York, back"]
    there = time_zones.in_utc(one.stack, change)
    assert there.count(b"\n") > 3 * MINUTES
    assert time_zones.by_psql(one.stack, change) == there
    here = {"TZ": "UTC", "FRAUDCTL_SPARK__SUBMIT": "local"}
    one.stack.run("replay", "--rebuild", "--apply", "--yes", env=here)
    assert time_zones.in_utc(one.stack, change) == there
    assert one.stack.json("verify-idempotency")["verdict"] == "ok"
