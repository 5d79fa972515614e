"""The files of an earlier commit, for the side that a gain or a regression is measured against."""

import io
import subprocess
import tarfile
from pathlib import Path

from benchmarks.errors import UnavailableError
from benchmarks.services import ROOT, Code


def earlier(commit: str, cache: Path) -> Code:
    """Return the code of a commit, unpacked once below `cache`.

    Raises:
        UnavailableError: this checkout does not hold the commit.
    """
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    sha = found.stdout.strip()
    if found.returncode != 0:
        raise UnavailableError(f"this checkout does not hold the commit {commit}")
    folder = cache / f"commit-{sha[:12]}"
    if not folder.is_dir():
        packed = subprocess.run(["git", "archive", sha], cwd=ROOT, capture_output=True, check=True).stdout
        unfinished = folder.with_suffix(".new")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(unfinished, filter="data")
        unfinished.rename(folder)
    return Code(f"commit {sha[:7]}", folder)


def current_commit() -> str:
    """Return this checkout's commit, with a `+` when files differ from it; empty outside a repository."""
    done = subprocess.run(
        ["git", "describe", "--always", "--abbrev=7", "--exclude=*", "--dirty=+"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()
