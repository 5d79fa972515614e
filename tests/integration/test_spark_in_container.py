"""`spark.submit: container` where there is no engine's network to join."""

import pytest

from tests.stacks import Stack

pytestmark = pytest.mark.services


def test_it_is_refused_without_containers(stack: Stack) -> None:
    done = stack.run("detect", "--dry-run", env={"FRAUDCTL_SPARK__SUBMIT": "container"}, check=False)
    assert done.returncode == 3
    assert "spark.submit is container" in done.stderr
    assert "the profile local" in done.stderr
