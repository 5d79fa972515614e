"""Where compose/, configs/ and sql/ lie: beside the package in a checkout, inside it in a wheel."""

from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


@cache
def root() -> Path:
    """The folder that holds `compose/`, `configs/` and `sql/`."""
    installed = PACKAGE / "_assets"
    return installed if installed.is_dir() else PACKAGE.parent


def compose_file() -> Path:
    """What is known about containers; its relative paths start in its own folder."""
    return root() / "compose" / "compose.yaml"


def configs() -> Path:
    return root() / "configs"


def sql() -> Path:
    return root() / "sql"


def detector_script() -> Path:
    """The file that spark-submit is given."""
    return PACKAGE / "detector" / "app.py"
