"""Locations of compose/, configs/ and sql/: beside the package in a checkout, inside it in a wheel."""

from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


@cache
def root() -> Path:
    """Return the folder that holds `compose/`, `configs/` and `sql/`."""
    installed = PACKAGE / "_assets"
    return installed if installed.is_dir() else PACKAGE.parent


def compose_file() -> Path:
    """Return the path of compose.yaml; relative paths in that file start in its own folder."""
    return root() / "compose" / "compose.yaml"


def configs() -> Path:
    """Return the folder `configs/` of configuration files."""
    return root() / "configs"


def sql() -> Path:
    """Return the folder `sql/`: migrations and queries."""
    return root() / "sql"


def detector_script() -> Path:
    """Return the script that spark-submit runs."""
    return PACKAGE / "detector" / "app.py"
