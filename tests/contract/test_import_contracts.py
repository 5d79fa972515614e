"""The contracts on imports can fail: an import that one forbids is planted, and the contract breaks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAMILIES = "Commands that know nothing of each other"
RUNNERS = "Commands that run others, and know nothing of each other"
RUNTIMES = "Kinds of runtime that know nothing of each other"
LAYERS = "Layers of the commands"


@pytest.mark.parametrize(
    ("contract", "module", "line"),
    [
        (FAMILIES, "operations/produce/steady.py", "import fraudctl.operations.verify.verify"),
        (FAMILIES, "operations/verify/verify.py", "from fraudctl.operations.detect import plan"),
        (RUNNERS, "operations/train/train.py", "from fraudctl.operations.lifecycle.up import up"),
        (RUNTIMES, "runtime/local/driver.py", "from fraudctl.runtime.compose.read import compose_file"),
        (LAYERS, "operations/inputs/labels.py", "import fraudctl.operations.evaluate.evaluate"),
    ],
    ids=[
        "produce imports verify",
        "verify imports detect",
        "train imports up",
        "local imports compose",
        "up",
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    tmp_path: Path, contract: str, module: str, line: str
) -> None:
    shutil.copytree(ROOT / "fraudctl", tmp_path / "fraudctl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / "fraudctl" / module
    file.write_text(file.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "COLUMNS": "200", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [name for name in done.stdout.splitlines() if name.endswith("BROKEN")]
    assert any(name.startswith(contract) for name in broken), done.stdout
