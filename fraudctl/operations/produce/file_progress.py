"""Saved progress of sending a file to a topic; it may be a little behind, but never ahead.

Every record carries the run and the number of its row in a Kafka header. So records after the last save are
recognised row by row, also where ids repeat.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fraudctl.broker import topics
from fraudctl.broker.log import held_ranges, read_whole
from fraudctl.clock import Deadline
from fraudctl.errors import DataError, NotReadyError, RefusedError
from fraudctl.events.codec import Transaction
from fraudctl.runtime.files import locked, make_folder, write_whole

ROW_HEADER = "fraudctl-row"
_ANEW = "begin anew without --resume (rows that were sent already then count twice)"


class FileProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of one run: every row before `row` is in the log, and later ones may be after `offsets`.

    `digest` covers the rows before `row`, `first` the first row alone, and `mapping` everything that turns
    rows into events. `key` names the key of the digests, if the mapping has any. `left_out` has the digests
    of the first rows that were left out, by their numbers, and `others` covers the rows before `row` without
    them. `path` is the file's path as the operating system has it; `file` is the same for people.
    """

    run: str
    file: str
    first: str
    mapping: str
    key: str
    row: int
    digest: str
    offsets: dict[int, int]
    path: bytes = b""
    left_out: dict[int, str] = {}
    others: str = ""


class SavedRun(NamedTuple):
    """The progress of a run, and the file that holds it."""

    saved_in: Path
    progress: FileProgress

    @property
    def has_its_file(self) -> bool:
        """Tell whether there is still a file under the path that the run was sent from."""
        return os.path.isfile(self.progress.path or self.progress.file)  # noqa: PTH113 - never an error


class SentRow(msgspec.Struct, frozen=True):
    """A row as it is in the log: its event without the time, and that time."""

    event: Transaction
    event_time: str


def names_of(table: Path) -> dict[str, Any]:
    """Return the fields of a progress that name its file."""
    path = os.fsencode(table.absolute())
    return {"file": path.decode("utf-8", "replace"), "path": path}


def row_header(run: str, row: int) -> dict[str, str | bytes | None]:
    """Return the Kafka header by which a row's record is recognised."""
    return {ROW_HEADER: f"{run}/{row}".encode()}


class ProgressFolder:
    """The progress of all files that were sent to one topic."""

    def __init__(self, folder: Path, topic_id: str) -> None:
        """Name the folder, which need not exist, and the topic by Kafka's id of it."""
        self._folder = folder
        self._topic_id = topic_id

    def file_for(self, table: Path) -> Path:
        """Return the file that holds the progress of one table."""
        name = hashlib.sha256(os.path.realpath(table).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return self._folder / f"{name}-{self._topic_id}.rows.json"

    def own(self, table: Path) -> FileProgress | None:
        """Return the progress of this table; None if it was never sent.

        Raises:
            RefusedError: the file that holds it is damaged.
        """
        file = self.file_for(table)
        return self._read(file) if file.is_file() else None

    def others(self, table: Path, first: str) -> list[SavedRun]:
        """Return the runs of other tables with the same first row.

        Args:
            table: the file with the rows.
            first: the digest of its first row; empty if it has none.

        Raises:
            RefusedError: a file that holds progress is damaged.
        """
        own = self.file_for(table)
        files = sorted(self._folder.glob(f"*-{self._topic_id}.rows.json")) if first else []
        found = [SavedRun(file, self._read(file)) for file in files if file != own]
        return [run for run in found if run.progress.first == first]

    def take_over(self, run: SavedRun, table: Path) -> FileProgress:
        """Make another table's run the one of this table, so that only one table has it at any moment.

        Raises:
            NotReadyError: another process is sending the other table, or has just sent more of it.
        """
        name = Path(run.progress.file).name
        with locked(run.saved_in.with_suffix(".lock"), Deadline(0.0), purpose=f"sending {name}"):
            if not run.saved_in.is_file() or self._read(run.saved_in) != run.progress:
                raise NotReadyError(
                    f"another fraudctl has just gone on with the run of {name}", hint="try again"
                )
            run.saved_in.replace(self.file_for(table))
        self.save(table, msgspec.structs.replace(run.progress, **names_of(table)))
        return run.progress

    def keys(self) -> set[str]:
        """Return the names of all keys with which digests were made, for any topic."""
        found = {self._read(file).key for file in self._folder.glob("*.rows.json")}
        return found - {""}

    def save(self, table: Path, progress: FileProgress) -> None:
        """Replace the progress of a table."""
        file = self.file_for(table)
        make_folder(file.parent)
        write_whole(file, msgspec.json.encode(progress).decode())

    def _read(self, file: Path) -> FileProgress:
        try:
            return msgspec.json.decode(file.read_bytes(), type=FileProgress)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RefusedError(
                f"{file} does not hold the progress of a file that was sent",
                detail=str(error),
                hint=f"remove it, and {_ANEW}",
            ) from error


class TopicLog:
    """The log of the topic that a file is sent to."""

    def __init__(self, servers: str, topic: str, timeout_seconds: float) -> None:
        """Name the topic on the bootstrap servers, and the timeout for each request."""
        self._servers = servers
        self._topic = topic
        self._timeout_seconds = timeout_seconds

    def ends(self) -> dict[int, int]:
        """Return the end offset of each partition.

        Raises:
            UnreachableError: the broker does not answer.
        """
        held = topics.end_offsets(self._servers, self._topic, timeout_seconds=self._timeout_seconds)
        return {partition: end for partition, (_, end) in held.items()}

    def sent_rows(self, run: str, begin: dict[int, int]) -> tuple[dict[int, SentRow], dict[int, int]]:
        """Return the rows that a run sent from some offsets on.

        Args:
            run: the name of the run.
            begin: the offset to begin with, by partition; zero where a partition is missing.

        Returns:
            The rows by their numbers, and the end offsets of the partitions up to which was read.

        Raises:
            RefusedError: the log no longer holds all records from these offsets on.
            DataError: a record with the header of a row is not a transaction.
            UnreachableError: the broker does not answer.
        """
        ends = self.ends()
        ranges = {partition: (begin.get(partition, 0), end) for partition, end in ends.items()}
        seconds = self._timeout_seconds
        wanted = held_ranges(self._servers, self._topic, ranges, timeout_seconds=seconds)
        found: dict[int, SentRow] = {}
        if not wanted:
            return found, ends
        for record in read_whole(self._servers, self._topic, wanted, timeout_seconds=seconds):
            header = (record.headers.get(ROW_HEADER) or b"").decode("ascii", "replace")
            sender, _, number = header.partition("/")
            if sender == run and number.isdigit():
                where = f"{self._topic} {record.partition}/{record.offset}"
                found[int(number)] = _sent_row(record.value or b"", where)
        return found, ends


def _sent_row(value: bytes, where: str) -> SentRow:
    try:
        event = msgspec.json.decode(value, type=Transaction)
    except msgspec.DecodeError as error:
        raise DataError(
            f"the record {where} says that it is a row of this file, and is no transaction", detail=str(error)
        ) from error
    return SentRow(msgspec.structs.replace(event, event_time=""), event.event_time)


def changed(detail: str) -> RefusedError:
    """Return the error for a file whose rows differ from those that were sent."""
    return RefusedError(
        "the file is not the one that was begun: rows that were sent have changed since",
        detail=detail,
        hint=f"put the file back as it was (rows may be added at its end), or {_ANEW}",
    )


def left_out_changed(row: str) -> RefusedError:
    """Return the error for a file in which only rows differ that had been left out."""
    return RefusedError(
        f"{row} has changed since it was read; it had been left out, and was never sent",
        detail="all rows that were sent are as they were; rows that were read once are not sent later",
        hint="put it back as it was, and add the corrected row at the end of the file (or send it, with the "
        f"header, as a file of its own), then --resume; or {_ANEW}",
    )


def never_begun(file: Path, similar: list[SavedRun]) -> RefusedError:
    """Return the error for resuming a file without a known earlier run; `similar` have its first row."""
    detail = "the progress of each run is kept per stack (--home, --stack), topic and file"
    if similar:
        detail += (
            f"\nother files with the same first row were sent, with other rows or mappings: {_files(similar)}"
        )
    return RefusedError(
        f"no earlier run of {file.name!r} on this topic is known, so there is nothing to go on with",
        detail=detail,
        hint="begin it without --resume",
    )


def not_moved(file: Path, runs: list[SavedRun]) -> RefusedError:
    """Return the error for resuming a file that only begins with the rows of runs of other files."""
    return RefusedError(
        f"no earlier run of {file.name!r} on this topic is known; it has the rows of {_files(runs)}",
        detail="a file goes on with the run of another one only if it is that file under a new name: the old "
        "one must be gone, and only one run may fit",
        hint="resume the file that was sent, by its own name, or begin this one without --resume (rows that "
        "were sent already then count twice)",
    )


def _files(runs: list[SavedRun]) -> str:
    return ", ".join(run.progress.file for run in runs)
