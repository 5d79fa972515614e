"""What a look at the checkpoint's folder tells before Spark is started."""

import json
from dataclasses import dataclass
from pathlib import Path

from fraudctl.errors import RefusedError


@dataclass(frozen=True)
class CheckpointFolder:
    """`query_id` is None when there is no checkpoint yet; `last_commit` is the newest finished batch."""

    path: Path
    query_id: str | None
    last_commit: int | None


def look(path: Path) -> CheckpointFolder:
    """Read the checkpoint's identity.

    Raises:
        RefusedError: files are there, but the one that names the query is missing or unreadable.
    """
    commits = [int(file.name) for file in (path / "commits").glob("[0-9]*") if file.name.isdigit()]
    metadata = path / "metadata"
    if not metadata.exists() and not any(path.glob("*/[0-9]*")):
        return CheckpointFolder(path, None, None)
    try:
        query_id = str(json.loads(metadata.read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefusedError(
            "the detector's checkpoint is damaged: its file `metadata` cannot be read",
            detail=f"{metadata}: {error}",
            hint="restore the checkpoint whole, or begin anew with `fraudctl down --volumes`",
        ) from error
    return CheckpointFolder(path, query_id, max(commits, default=None))
