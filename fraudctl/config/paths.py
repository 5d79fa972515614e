"""Where a stack keeps its state, and where downloads are cached. Never inside the checkout."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

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
    """The paths of `stack` under `home`, or under the platform's own state folder.

    As root the site-wide folders are used (/var/lib, /var/cache): PostgreSQL refuses to run as root, and
    root's own home cannot be entered by any other user. FRAUDCTL_CACHE_DIR overrides the cache.

    Raises:
        UsageError: the stack's name is not a simple lower-case word.
    """
    if not STACK_NAME.fullmatch(stack):
        raise UsageError(
            f"{stack!r} is not a name for a stack",
            hint="use up to 32 of a-z, 0-9, - and _, beginning with a letter or digit",
        )
    base = home or platformdirs.user_state_path("fraudctl", use_site_for_root=True)
    cache = os.environ.get("FRAUDCTL_CACHE_DIR")
    return StackPaths(
        home=base.expanduser().absolute(),
        stack=stack,
        cache=Path(cache).expanduser().absolute()
        if cache
        else platformdirs.user_cache_path("fraudctl", use_site_for_root=True),
    )
