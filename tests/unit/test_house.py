"""The house keeps its order: size of files, names, nothing that does not belong into the project."""

import re
import subprocess
from pathlib import Path

from fraudctl.ui.failure import of_system

ROOT = Path(__file__).parents[2]
REGISTRIES = "|".join(
    re.escape(host)
    for host in (
        "pypi" + ".org",
        "python" + "hosted",
        "repo1.mav" + "en.org",
        "repo.mav" + "en.apache",
        "maven" + ".org",
        "registry.npm" + "js",
        "deb.deb" + "ian",
        "proxy.gol" + "ang",
        "crates" + ".io",
    )
)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines()]


def test_no_source_file_is_longer_than_500_lines() -> None:
    long = [
        file.name for file in tracked() if file.suffix == ".py" and len(file.read_text().splitlines()) > 500
    ]
    assert not long


def test_no_room_for_odds_and_ends() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "core", "misc", "manager", "base"}
    named = [str(file) for file in tracked() if {file.stem, *(part for part in file.parts)} & vague]
    assert not named


def test_no_registry_host_is_named() -> None:
    pattern = re.compile(REGISTRIES)
    found = [
        file.name for file in tracked() if file.is_file() and pattern.search(file.read_text(errors="replace"))
    ]
    assert not found


def test_sql_lives_in_sql() -> None:
    """Statements on the pipeline's tables stand in sql/, where a test prepares each of them."""
    pattern = re.compile(
        r"(INSERT INTO|SELECT .+ FROM|UPDATE|DELETE FROM|COPY) (fraud_|batch_|pipeline_|dead_)"
    )
    found = [file.name for file in (ROOT / "fraudctl").rglob("*.py") if pattern.search(file.read_text())]
    assert not found


def test_no_path_of_a_user_is_resolved_by_what_fails_on_a_link_to_itself() -> None:
    """`Path.resolve` raises a RuntimeError there, up to Python 3.12; follow_links is what refuses."""
    pattern = re.compile(r"(?<!Path\(__file__\))\.resolve\(\)")
    found = [file.name for file in (ROOT / "fraudctl").rglob("*.py") if pattern.search(file.read_text())]
    assert not found


def test_what_the_system_refuses_is_named_with_its_place() -> None:
    error = of_system(PermissionError(13, "Permission denied", "/var/lib/fraudctl/lock"))
    assert error.exit_code == 3
    assert "Permission denied" in error.message
    assert "/var/lib/fraudctl/lock" in error.message
