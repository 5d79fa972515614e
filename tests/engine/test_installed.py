"""fraudctl as it is installed: from a wheel and from an sdist, run in an empty folder, without a checkout."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.engine.conftest import Contained, NewContained
from tests.support.runtimes import CONTAINER
from tests.support.stacks import Stack

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]


def checked(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def installed(kind: str, folder: Path) -> str:
    """The Python of a new environment that holds fraudctl; its dependencies are those of this one."""
    python, dist = sys.executable, folder / "dist"
    checked(python, "-m", "hatchling", "build", "-t", kind, "-d", str(dist), cwd=ROOT)
    (built,) = dist.iterdir()
    venv = folder / "venv"
    checked(python, "-m", "venv", "--without-pip", str(venv))
    (site,) = (venv / "lib").glob("python3*/site-packages")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--target", str(site))
    checked(python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *offline, str(built))
    assert psycopg.__file__
    (site / "dependencies.pth").write_text(f"{Path(psycopg.__file__).parents[1]}\n", encoding="utf-8")
    return str(venv / "bin" / "python")


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_up_and_detect_in_an_empty_folder(new_contained: NewContained, kind: str, tmp_path: Path) -> None:
    """Intent: compose.yaml, settings, SQL and the detector travel with the package."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.fail("hatchling, which builds the package, is not installed")
    python = installed(kind, tmp_path)
    one = new_contained(CONTAINER.environ)
    empty = tmp_path / "empty"
    empty.mkdir()
    stack = Stack(one.stack.home, one.stack.env, (python, "-m", "fraudctl"))
    mine = Contained(stack, one.project, one.client)
    where = checked(python, "-c", "import fraudctl; print(fraudctl.__file__)", cwd=empty).strip()
    assert Path(where).is_relative_to(tmp_path / "venv")
    stack.run("up", cwd=empty)
    stack.run("produce", "--rate", "1000", "--count", "500", cwd=empty)
    stack.run("detect", "--until-caught-up", cwd=empty)
    assert stack.run("verify-idempotency", cwd=empty).returncode == 0
    stack.run("down", "--volumes", "--yes", cwd=empty)
    assert mine.leftovers() == []
    assert list(empty.iterdir()) == []
