"""What is settled before the detector starts."""

from pathlib import Path

import pytest

from fraudctl.checkpoint.inspect_folder import CheckpointFolder
from fraudctl.errors import RefusedError
from fraudctl.operations.detect.plan import _check_same_query


@pytest.mark.parametrize(("branches", "looks_back"), [(0, False), (0, True), (1, False), (2, True)])
def test_a_checkpoint_of_the_same_query_is_accepted(branches: int, looks_back: bool) -> None:
    _check_same_query(CheckpointFolder(Path("/c"), "q", branches=branches), looks_back=looks_back)


@pytest.mark.parametrize(("branches", "looks_back"), [(2, False), (3, True), (1, True)])
def test_a_checkpoint_of_another_version_is_refused_with_a_remedy(branches: int, looks_back: bool) -> None:
    with pytest.raises(RefusedError, match="another version of fraudctl") as caught:
        _check_same_query(CheckpointFolder(Path("/c"), "q", branches=branches), looks_back=looks_back)
    assert "--new-generation" in caught.value.hint
