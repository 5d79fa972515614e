"""Folders of a stack's state and of cached downloads, always outside the checkout."""

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from fraudctl.errors import UsageError

STACK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class StackPaths:
    """The folders and files of one named stack; computing a path creates nothing."""

    home: Path
    stack: str
    cache: Path

    @property
    def root(self) -> Path:
        """Return the folder that holds everything of the stack."""
        return self.home / "stacks" / self.stack

    @property
    def data(self) -> Path:
        """Return the folder of broker log and database; `down` keeps it, `down --volumes` removes it."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """Return the folder of log files."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Return the folder of process records, the stack's state and the detector's job file."""
        return self.root / "run"

    @property
    def secrets(self) -> Path:
        """Return the folder of password files."""
        return self.root / "secrets"

    @property
    def checkpoint(self) -> Path:
        """Return the folder of the detector's Spark checkpoint."""
        return self.root / "data" / "checkpoint"

    @property
    def state_file(self) -> Path:
        """Return the file that holds the stack's state."""
        return self.run / "stack.json"


def stack_paths(home: Path | None, stack: str) -> StackPaths:
    """Return the paths of `stack` under `home`, or under the platform's own state folder.

    Root uses the site-wide folders (/var/lib, /var/cache), because PostgreSQL refuses to run as root and no
    other user can enter root's home. FRAUDCTL_CACHE_DIR overrides the cache. Without a home folder the cache
    lies beside the stacks.

    Raises:
        UsageError: the stack's name is not a simple lower-case word, there is no home folder, or a folder is
            a link that leads back to itself.
    """
    if not STACK_NAME.fullmatch(stack):
        raise UsageError(
            f"{stack!r} is not a name for a stack",
            hint="use up to 32 of a-z, 0-9, - and _, beginning with a letter or digit",
        )
    base = home or _platform_folder("user_state_path")
    if base is None:
        raise UsageError(
            "this user has no home folder, so there is no place for a stack",
            detail=f"HOME is not set, and user {os.geteuid()} has no entry in /etc/passwd",
            hint="name a folder with --home, or set FRAUDCTL_HOME",
        )
    root = _user_folder(base, "--home (or FRAUDCTL_HOME)")
    cache = os.environ.get("FRAUDCTL_CACHE_DIR")
    downloads = _user_folder(cache, "FRAUDCTL_CACHE_DIR") if cache else _platform_folder("user_cache_path")
    return StackPaths(home=root, stack=stack, cache=downloads or root / "cache")


def user_path(name: str | Path, setting: str) -> Path:
    """Return the absolute path that a user has given, with `~` replaced by the home folder.

    Args:
        name: the path.
        setting: name of the option or variable it comes from, for the error message.

    Raises:
        UsageError: it begins with `~`, and there is no such home folder.
    """
    try:
        return Path(name).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(
            f"{name} cannot be resolved: there is no such home folder",
            detail=f"in {setting}",
            hint="write the whole path, beginning with /",
        ) from error


def follow_links(file: Path) -> Path:
    """Return the absolute path that the links of `file` lead to.

    Raises:
        OSError: a link leads back to itself.
    """
    found = Path(os.path.realpath(file))
    if found.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(file))
    return found


def _user_folder(name: str | Path, setting: str) -> Path:
    """Return the absolute path of a folder that a user has named.

    Raises:
        UsageError: as `user_path`, or the folder is a link that leads back to itself.
    """
    folder = user_path(name, setting)
    try:
        folder.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError(
                f"{name} is a link that leads back to itself, or lies behind one",
                detail=f"in {setting}",
                hint=f"choose another {setting}",
            ) from error
    return folder


def _platform_folder(kind: Literal["user_state_path", "user_cache_path"]) -> Path | None:
    """Return the platform's folder for this program's state or cache; None without a home folder."""
    try:
        found: Path = getattr(platformdirs, kind)("fraudctl", use_site_for_root=True)
    except RuntimeError:
        return None
    # Without a home folder `~` may stay in the path, and would create a folder of that name here.
    return found if found.is_absolute() else None
