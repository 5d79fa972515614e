"""One suite, several runtimes: child processes, containers, and a cluster in containers."""

import pytest

from tests.engine.conftest import NewContained
from tests.engine.runtimes import RUNTIMES, Runtime, the_whole_way

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
def test_the_whole_way(new_contained: NewContained, runtime: Runtime) -> None:
    one = new_contained(runtime.environ)
    the_whole_way(one.stack, one.leftovers)
