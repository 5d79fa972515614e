"""`spark.submit: container` where there is no engine's network to join."""

import pytest

from tests.support.stacks import Stack

pytestmark = pytest.mark.services


def test_it_is_refused_without_containers(stack: Stack) -> None:
    done = stack.run("detect", "--dry-run", env={"FRAUDCTL_SPARK__SUBMIT": "container"}, check=False)
    assert done.returncode == 3
    assert "spark.submit is container" in done.stderr
    assert "the profile local" in done.stderr


def test_a_cluster_in_containers_is_not_reached_from_outside(stack: Stack) -> None:
    """Known before the start: else the driver would ask for a name that only containers know."""
    environ = {"FRAUDCTL_SPARK__MASTER": "spark://spark-master:7077"}
    done = stack.run("detect", "--dry-run", env=environ, check=False)
    assert done.returncode == 3
    assert "can only be reached from a container" in done.stderr
    assert "FRAUDCTL_SPARK__SUBMIT=container" in done.stderr
