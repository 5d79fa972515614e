"""Keep the files of a recount that agreed, so that the next one reads only the new part of the log.

The kept files hold everything that comes from the log: the rows of all admitted records, the rejected records
and the expected alerts. A manifest says which part of the ledger and of the log they cover and names every
file with its SHA-256. They are used again only if that part of the ledger, the settings, the topic and the
recount's own code are unchanged; nothing that the database stores is ever taken from them. All rows are
counted and compared anew each time: only reading the log, and parsing and evaluating its records, is saved.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

import msgspec

import fraudctl
from fraudctl.recount.intake import LogIntake
from fraudctl.recount.ledger import Batch, Ledger, Ranges
from fraudctl.recount.stream import KINDS_FROM_LOG

_FOLDER = "kept"
_MANIFEST = "manifest.json"
# The log grows between recounts; this many buckets stay small enough for 25 million events.
BUCKETS = 256
_CODE = ("events", "recount", "rules")


class _Manifest(msgspec.Struct):
    """A description of the kept files.

    `intake`: batch, partition, records read, and how many were rejected for each reason.
    """

    code: str
    batches: int
    ledger: str
    ranges: dict[int, tuple[int, int]]
    intake: list[tuple[int, int, int, dict[str, int]]]
    generation: int
    verified_at: str
    files: dict[str, str]


@dataclass(frozen=True)
class Kept:
    """The files of an earlier recount, which cover these `ranges` of the log.

    `generation` counts the recounts that they come from; `files` has their SHA-256 by name.
    """

    folder: Path
    ranges: Ranges
    intake: LogIntake
    generation: int
    verified_at: str
    files: Mapping[str, str]

    @property
    def events(self) -> int:
        """Return how many records of the log need not be read again."""
        return self.intake.read.total()

    def link_into(self, folder: Path) -> None:
        """Create hard links to the files in another folder of the same file system.

        No recount appends to files of an earlier one, so both folders can share them.
        """
        for name in self.files:
            os.link(self.folder / name, folder / name)


def unread(ranges: Ranges, kept: Kept | None) -> dict[int, tuple[int, int]]:
    """Return the part of these ranges that the kept files do not cover."""
    done = {number: end for number, (_start, end) in kept.ranges.items()} if kept else {}
    rest = {number: (done.get(number, start), end) for number, (start, end) in ranges.items()}
    return {number: span for number, span in rest.items() if span[0] < span[1]}


def find_kept(parent: Path, ledger: Ledger) -> Kept | str:
    """Return the files to use again, or the reason why there are none, as a clause that follows "because"."""
    folder = parent / _FOLDER
    try:
        manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=_Manifest)
    except FileNotFoundError:
        return "no verification with --from-ledger has agreed here yet"
    except (OSError, msgspec.DecodeError) as error:
        return f"what was kept cannot be read: {error}"
    if manifest.code != _code_digest():
        return "what was kept is of another version of fraudctl"
    if manifest.batches > len(ledger.batches) or manifest.ledger != _digest(
        ledger.batches[: manifest.batches]
    ):
        return "the part of the ledger that was verified is not the same any more"
    for name, digest in manifest.files.items():
        if _file_digest(folder / name) != digest:
            return f"{folder / name} is damaged or missing"
    intake = LogIntake()
    for batch, partition, read, rejected in manifest.intake:
        intake.read[batch, partition] = read
        if rejected:
            intake.rejected[batch, partition] = Counter(rejected)
    return Kept(folder, manifest.ranges, intake, manifest.generation, manifest.verified_at, manifest.files)


def keep(
    parent: Path, work: Path, ledger: Ledger, ranges: Ranges, intake: LogIntake, before: Kept | None
) -> None:
    """Replace the kept files with those that a recount that agreed has written to its work folder.

    Args:
        parent: the folder in which the kept files have a folder of their own.
        work: the recount's work folder, on the same file system.
        ledger: the ledger that was verified.
        ranges: the ranges of the log that the files cover.
        intake: the number of records that were read and rejected, by batch and partition.
        before: the kept files that this recount began with; they are not written again, so their digests
            stay.
    """
    known = before.files if before else {}
    new, old, folder = (parent / f"{_FOLDER}{suffix}" for suffix in (".new", ".old", ""))
    for left in (new, old):
        rmtree(left, ignore_errors=True)
    new.mkdir(mode=0o700)
    names = sorted(file.name for file in work.iterdir() if file.name.partition("-")[0] in KINDS_FROM_LOG)
    for name in names:
        os.link(work / name, new / name)
    manifest = _Manifest(
        code=_code_digest(),
        batches=len(ledger.batches),
        ledger=_digest(ledger.batches),
        ranges=dict(ranges),
        intake=[
            (batch, partition, read, dict(intake.rejected.get((batch, partition), {})))
            for (batch, partition), read in intake.read.items()
        ],
        generation=(before.generation if before else 0) + 1,
        verified_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files={name: known.get(name) or _file_digest(new / name) for name in names},
    )
    (new / _MANIFEST).write_bytes(msgspec.json.encode(manifest))
    # An interruption between these renames leaves nothing kept, and the next recount reads the whole log.
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    rmtree(old, ignore_errors=True)


def _digest(batches: Sequence[Batch]) -> str:
    """Return a SHA-256 over everything that a recount takes from the ledger; a replay does not change it."""
    result = hashlib.sha256()
    for batch in batches:
        plain = (
            *(batch.query_id, batch.batch_id, batch.epoch, batch.cluster_id, batch.topic, batch.topic_id),
            *(_sorted(batch.offsets), sorted((key, _sorted(own)) for key, own in batch.intake.items())),
            *(batch.watermark_us, batch.fingerprint, batch.flaws, batch.rule_set),
        )
        result.update(repr(plain).encode() + b"\n")
    return result.hexdigest()


def _sorted(mapping: Mapping[int, object] | Mapping[str, object]) -> list[tuple[int | str, object]]:
    return sorted(mapping.items(), key=lambda item: str(item[0]))


def _file_digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _code_digest() -> str:
    """Return a SHA-256 over the recount's own code: another version may evaluate a record differently."""
    result = hashlib.sha256()
    package = Path(fraudctl.__file__).parent
    for name in _CODE:
        for file in sorted((package / name).glob("*.py")):
            result.update(file.read_bytes())
    return result.hexdigest()
