"""For maintainers: resolve every jar set anew and print the lock, after a version has been changed.

    python -m tools.relock_jars > jars.lock.new && mv jars.lock.new configs/jars.lock

What it prints is what the repository delivers today: read the difference before committing it.
"""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from fraudctl.clock import Deadline
from fraudctl.config.paths import StackPaths
from fraudctl.runtime.jvm.jars import SET_NAMES, resolve
from fraudctl.runtime.jvm.java import find_java

HEADER = """\
# Every jar that fraudctl runs: set, organisation:module:version, SHA-256. A jar that differs is refused.
# Written by `python -m tools.relock_jars`; the connector's version is that of pyspark.
"""
_SECONDS = 900.0
# A mark that no organisation, module or version holds, so that the name can be taken apart again.
_PATTERN = "[organisation]#[artifact]#[revision](-[classifier]).[ext]"


def lock_lines(folder: Path, name: str) -> list[str]:
    """One line a jar."""
    lines = []
    for file in sorted(folder.glob("*.jar")):
        coordinates = file.stem.replace("#", ":")
        lines.append(f"{name} {coordinates} {hashlib.sha256(file.read_bytes()).hexdigest()}")
    return lines


def main() -> None:
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        paths = StackPaths(home=Path(scratch) / "home", stack="relock", cache=Path(scratch) / "cache")
        java = find_java(paths, os.environ)
        for name in SET_NAMES:
            into = Path(scratch) / name
            into.mkdir()
            resolve(name, into, java, paths, Deadline(_SECONDS), file_pattern=_PATTERN)
            lines += lock_lines(into, name)
    sys.stdout.write(HEADER + "\n".join(sorted(lines)) + "\n")


if __name__ == "__main__":
    main()
