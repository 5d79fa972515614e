"""Inspection of the checkpoint's folder before Spark is started.

Spark writes `offsets/N` before batch N and `commits/N` after it. It starts from the newest plan. If that
batch has no commit, it is run again over the planned range. For this Spark needs the plan before it, the
identity in `metadata`, and for every state store the version that batch N begins with. An error names
whichever of these is missing or truncated; the rest of the folder is history.
"""

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fraudctl.errors import REBUILD, RefusedError

Ends = dict[int, int]
T = TypeVar("T")


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoint's identity, its newest plans and its newest commit.

    `query_id` is None when there is no checkpoint yet; `last_commit` is the newest finished batch. `plans`
    says where each of the newest planned batches ends: partition to one past the last offset. `branches` is
    the number of branches of the query that read the topic; 0 when no batch was planned yet.
    """

    path: Path
    query_id: str | None
    last_commit: int | None = None
    plans: dict[int, Ends] = field(default_factory=dict)
    branches: int = 0

    @property
    def last_plan(self) -> int | None:
        """Return the number of the newest planned batch; None if there is none."""
        return max(self.plans, default=None)


def look(path: Path) -> CheckpointFolder:
    """Read the checkpoint's identity, newest plans and commit, and check that the state they need is there.

    Raises:
        RefusedError: files are there, but one that Spark will need is missing or is not what Spark writes.
    """
    plans, commits = _numbers(path / "offsets"), _numbers(path / "commits")
    if not (path / "metadata").exists() and not any(path.glob("*/[0-9]*")):
        return CheckpointFolder(path, None)
    query_id = _parsed(path, "metadata", _id)
    last_plan, last_commit = max(plans, default=None), max(commits, default=None)
    if last_commit is not None:
        _parsed(path, f"commits/{last_commit}", _commit)
        if last_plan is None or last_plan < last_commit:
            raise _damaged(path, f"offsets/{last_commit}", "it is missing, though its batch was finished")
    read: dict[int, Ends] = {}
    branches = 0
    if last_plan is not None:
        branches = _parsed(path, f"offsets/{last_plan}", _branches)
        for number in range(max(0, last_plan - 1), last_plan + 1):
            read[number] = _parsed(path, f"offsets/{number}", _plan)
        _check_state(path, last_plan + 1 if last_commit == last_plan else last_plan)
        if last_plan == 0 and (path / "sources/0/0").exists():
            _parsed(path, "sources/0/0", _start)
    return CheckpointFolder(path, query_id, last_commit, read, branches)


def _numbers(folder: Path) -> list[int]:
    return [int(file.name) for file in folder.glob("[0-9]*") if file.name.isdigit()]


def _parsed(path: Path, name: str, read: Callable[[str], T]) -> T:
    try:
        return read((path / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _damaged(path, name, "it is missing") from error
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _damaged(path, name, f"it is not what Spark writes: {error}") from error


def _damaged(path: Path, name: str, why: str) -> RefusedError:
    return RefusedError(
        f"the detector's checkpoint is damaged: {name} cannot be used",
        detail=f"{path / name}: {why}",
        hint=f"restore the checkpoint whole, or {REBUILD}",
    )


def _json(text: str) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise TypeError("no JSON object")
    return document


def _id(text: str) -> str:
    return str(_json(text)["id"])


def _commit(text: str) -> dict[str, Any]:
    version, document = text.splitlines()[:2]
    if not version.startswith("v"):
        raise ValueError("no version line")
    return _json(document)


def _plan(text: str) -> Ends:
    """Return the end offsets of a planned batch; all sources read the same topic, so one line is enough.

    The file has a version line, the batch's own facts, and one line per source.
    """
    version, facts, *sources = text.splitlines()
    if not version.startswith("v") or "batchWatermarkMs" not in _json(facts):
        raise ValueError("no version line or no watermark")
    return _ends(sources[-1])


def _branches(text: str) -> int:
    """Return the number of branches that read a topic.

    Spark keeps a line for each of them, after the version and the batch's own facts.
    """
    _version, _facts, *sources = text.splitlines()
    return len(sources)


def _start(text: str) -> Ends:
    """Return the start offsets of a source.

    Spark writes a zero byte first, for compatibility with its 2.1.
    """
    return _ends(text[text.index("{") :])


def _ends(line: str) -> Ends:
    (partitions,) = _json(line).values()
    return {int(partition): int(offset) for partition, offset in partitions.items()}


def _check_state(path: Path, version: int) -> None:
    """Check that every store can be restored as it was before the batch that begins with `version`."""
    if version == 0:
        return
    stores = list(_stores(path))
    if not stores:
        raise _damaged(path, "state", "it is missing or empty")
    if any((path / "state").rglob("*.changelog")):
        return  # the detector does not let Spark write changelogs
    in_rocksdb = any((path / "state").rglob("*.zip"))
    for store in stores:
        if in_rocksdb:
            _check_rocksdb(path, f"{store}/{version}.zip")
            continue
        # A version is the newest snapshot up to it, or nothing, and all the changes from there.
        needed = version
        while needed > 0 and not _holds_something(path / store / f"{needed}.snapshot"):
            if not _holds_something(path / store / f"{needed}.delta"):
                raise _damaged(path, f"{store}/{needed}.delta", "it is missing or empty")
            needed -= 1


def _check_rocksdb(path: Path, name: str) -> None:
    """Check the archive of one version, and the shared files and lengths that it names."""
    archive = path / name
    if not _holds_something(archive):
        raise _damaged(path, name, "it is missing or empty")
    try:
        with zipfile.ZipFile(archive) as opened:
            broken = opened.testzip()
            metadata = _commit(opened.read("metadata").decode("utf-8"))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise _damaged(path, name, f"it is not what Spark writes: {error}") from error
    if broken:
        raise _damaged(path, name, f"its {broken} is broken")
    for kind, folder, key in (("sstFiles", "SSTs", "dfsSstFileName"), ("logFiles", "logs", "dfsLogFileName")):
        for shared in metadata.get(kind, ()):
            file = archive.parent / folder / shared[key]
            if not file.is_file() or file.stat().st_size != shared["sizeBytes"]:
                raise _damaged(path, str(file.relative_to(path)), "it is missing or cut short")


def _stores(path: Path) -> Iterator[str]:
    """Yield the folder of each operator and partition, according to the operator's own metadata."""
    for number in sorted(_numbers(path / "state")):
        operator = f"state/{number}"
        metadata = _parsed(path, f"{operator}/_metadata/metadata", _commit)
        partitions = max(int(store["numPartitions"]) for store in metadata["stateStoreInfo"])
        yield from (f"{operator}/{partition}" for partition in range(partitions))


def _holds_something(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
