"""Fixtures of the unit tests."""

from pathlib import Path

import pytest

from tests.support.foreign_tables import generic, write_mapping


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    """The file of a mapping that fits the rows of `tests.support.foreign_tables`."""
    return write_mapping(tmp_path / "generic.yaml", generic())
