"""Where the shared stack's services answer."""

import pytest

from fraudctl.config.endpoints import Endpoints
from fraudctl.config.paths import stack_paths
from fraudctl.runtime.stack import read_state
from tests.support.stacks import Stack


@pytest.fixture(scope="session")
def endpoints(stack: Stack) -> Endpoints:
    state = read_state(stack_paths(stack.home, "default"))
    assert state
    return state.endpoints
