"""Files of events or labels as `fraudctl simulate` writes them: one JSON object a line."""

from collections.abc import Iterator
from pathlib import Path

from fraudctl.errors import UsageError


def lines_of(file: Path) -> Iterator[bytes]:
    """
    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with file.open("rb") as stream:
            for line in stream:
                yield line.rstrip(b"\n")
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read",
            detail=str(error),
            hint="`fraudctl simulate --out EVENTS --labels LABELS` writes such files",
        ) from error
