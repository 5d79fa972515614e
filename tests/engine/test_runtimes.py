"""One suite, several runtimes: child processes, containers, and a cluster in containers."""

import os
import pwd
from dataclasses import replace

import pytest

from tests.engine.conftest import NewContained
from tests.support import stacks
from tests.support.another_user import copy_cache, libraries, python_for
from tests.support.engine_proxy import EngineProxy
from tests.support.runtimes import CLUSTER, RUNTIMES, Runtime, the_whole_way

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
def test_the_whole_way(new_contained: NewContained, runtime: Runtime) -> None:
    one = new_contained(runtime.environ)
    the_whole_way(one.stack, one.leftovers)


def test_the_whole_way_as_an_ordinary_user(new_contained: NewContained, engine_socket: str) -> None:
    """Intent: Spark's containers run as somebody whom their image does not know, and own what they write."""
    if os.geteuid() != 0:
        pytest.skip("run as an ordinary user already: every other test shows it")
    user = pwd.getpwnam("nobody").pw_uid
    stacks.fill_cache()
    one = new_contained(CLUSTER.environ)
    made = one.stack
    copy_cache(made.home / "cache", user)
    os.chown(made.home, user, user)
    proxy = EngineProxy(made.home / "engine.sock", engine_socket)
    proxy.path.chmod(0o666)
    places = {
        "HOME": str(made.home),
        "FRAUDCTL_CACHE_DIR": str(made.home / "cache"),
        "PYTHONPATH": libraries(),
        "DOCKER_HOST": f"unix://{proxy.path}",
    }
    theirs = replace(
        made, env={**made.env, **places}, command=(python_for(user), "-m", "fraudctl"), user=user
    )
    try:
        the_whole_way(theirs, one.leftovers)  # what belonged to others could not be removed in the end
    finally:
        proxy.close()
