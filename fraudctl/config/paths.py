"""Where a stack keeps its state, and where downloads are cached. Never inside the checkout."""

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
    """The folders and files of one named stack. Nothing is created by naming them."""

    home: Path
    stack: str
    cache: Path

    @property
    def root(self) -> Path:
        return self.home / "stacks" / self.stack

    @property
    def data(self) -> Path:
        """Broker log and database cluster: kept by `down`, removed by `down --volumes`."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Process records, the stack's state and the detector's job file."""
        return self.root / "run"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def checkpoint(self) -> Path:
        """Spark's checkpoint of the detector."""
        return self.root / "data" / "checkpoint"

    @property
    def state_file(self) -> Path:
        return self.run / "stack.json"


def stack_paths(home: Path | None, stack: str) -> StackPaths:
    """Return the paths of `stack` under `home`, or under the platform's own state folder.

    As root the site-wide folders are used (/var/lib, /var/cache): PostgreSQL refuses to run as root, and
    root's own home cannot be entered by any other user. FRAUDCTL_CACHE_DIR overrides the cache; a user
    without a home folder has it beside the stacks.

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
    """Return the absolute path that a user has named, with `~` replaced by the home folder.

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
    # Without a home folder `~` may be left as it is, and would become a folder of that name right here.
    return found if found.is_absolute() else None
