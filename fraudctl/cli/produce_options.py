"""Check of the options of `fraudctl produce`: an option without effect is refused by its name."""

from collections.abc import Mapping
from typing import Literal

from fraudctl.errors import UsageError

Source = Literal["steady", "preset", "file"]
# The sources of transactions for which each option has a meaning.
_SOURCES: dict[str, tuple[Source, ...]] = {
    "--days": ("preset",),
    "--difficulty": ("preset",),
    "--faults": ("preset",),
    "--labels": ("preset", "file"),
    "--no-labels": ("preset", "file"),
    "--label-delay": ("preset", "file"),
    "--seed": ("steady", "preset"),
    "--mapping": ("file",),
    "--delimiter": ("file",),
    "--encoding": ("file",),
    "--allow-rejected": ("file",),
    "--dry-run": ("file",),
    "--resume": ("file",),
}
_NAMES = {"steady": "simulated transactions", "preset": "a preset", "file": "a file"}
_INSTEAD = {
    "steady": "and there is none",
    "preset": "and --preset simulates transactions",
    "file": "and --from-file sends a file",
}
_ADD = {"preset": "--preset everyday", "file": "--from-file FILE"}


def check_options(given: Mapping[str, bool], source: Source) -> None:
    """Check that every option has a meaning for what is sent.

    Args:
        given: whether each option stands on the command line, by its name.
        source: what is sent.

    Raises:
        UsageError: some have none; those that belong to the same source are named together.
    """
    wrong = [name for name, told in given.items() if told and source not in _SOURCES[name]]
    if not wrong:
        return
    wanted = _SOURCES[wrong[0]]
    named = [name for name in wrong if _SOURCES[name] == wanted]
    options = " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
    verb = "are" if len(named) > 1 else "is"
    add = f"add {' or '.join(_ADD[one] for one in wanted)}, or " if source == "steady" else ""
    raise UsageError(
        f"{options} {verb} for {' or '.join(_NAMES[one] for one in wanted)}, {_INSTEAD[source]}",
        hint=f"{add}leave {options} out",
    )
