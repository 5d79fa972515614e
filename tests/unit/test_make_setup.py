"""`make setup` whatever a user's pip is told: a stand-in for Python writes down what it was given."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Makes the virtual environment with itself as Python; its pip installs nothing but the program.
PYTHON = """#!/bin/sh
env | sed "s/^/$(echo "$*" | tr ' ' '_') /" >> "@LOG@"
case "$*" in
  "-m venv --clear .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *--editable*) [ -n "@LOST@" ] || { echo '#!/bin/sh' > .venv/bin/fraudctl; chmod +x .venv/bin/fraudctl; } ;;
esac
"""


def set_up(
    folder: Path, environ: dict[str, str], *, lost: bool = False
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run it in a copy; returns how it ended, and a line a variable that its commands saw."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    python, log = folder / "python", folder / "log"
    text = PYTHON.replace("@LOG@", str(log)).replace("@LOST@", "lost" if lost else "")
    python.write_text(text, encoding="utf-8")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", f"PYTHON={python}", "setup"],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, log.read_text(encoding="utf-8").splitlines()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    "name",
    [
        "PIP_USER",
        "PIP_REQUIRE_HASHES",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_ROOT",
        "PIP_NO_DEPS",
        "PIP_DRY_RUN",
        "PIP_CONSTRAINT",
        "PIP_ONLY_BINARY",
        "PYTHONPATH",
        "PYTHONHOME",
    ],
)
def test_where_packages_go_is_not_for_the_environment_to_say(name: str, tmp_path: Path) -> None:
    done, seen = set_up(tmp_path, {name: "1", "PIP_INDEX_URL": "http://mirror/simple", "PIP_CERT": "/ca.pem"})
    assert done.returncode == 0, done.stderr
    installs = [line for line in seen if "_pip_install_" in line]
    kept = {"PIP_INDEX_URL=http://mirror/simple", "PIP_CERT=/ca.pem"}
    assert kept <= {line.split(" ", 1)[1] for line in installs}
    set_by_the_makefile = "PIP_REQUIRE_HASHES=0"
    found = [line for line in installs if f" {name}=" in line and not line.endswith(set_by_the_makefile)]
    assert not found


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_configuration_that_sends_the_program_elsewhere_is_an_error(tmp_path: Path) -> None:
    done, _seen = set_up(tmp_path, {}, lost=True)
    assert done.returncode != 0
    assert "pip config list" in done.stderr
    assert not (tmp_path / ".venv" / ".ready").exists()
