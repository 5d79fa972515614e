"""Saved progress of sending a file to a topic; it may be a little behind, but never ahead.

Every record carries the run and the number of its row in a Kafka header. So records after the last save are
recognised row by row, also where ids repeat.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from fraudctl.broker import topics
from fraudctl.broker.log import held_ranges, read_whole
from fraudctl.errors import DataError, RefusedError
from fraudctl.events.codec import Transaction
from fraudctl.runtime.files import make_folder, write_whole

ROW_HEADER = "fraudctl-row"
_ANEW = "begin anew without --resume (rows that were sent already then count twice)"


class FileProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of one run: every row before `row` is in the log, and later ones may be after `offsets`.

    `digest` covers the rows before `row`, `first` the first row alone, and `mapping` everything that turns
    rows into events. `key` names the key of the digests, if the mapping has any.
    """

    run: str
    file: str
    first: str
    mapping: str
    key: str
    row: int
    digest: str
    offsets: dict[int, int]


class SentRow(msgspec.Struct, frozen=True):
    """A row as it is in the log: its event without the time, and that time."""

    event: Transaction
    event_time: str


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

    def known(self, table: Path, first: str) -> list[FileProgress]:
        """Return the progress of this table, and then of others with the same first row (moved files).

        Args:
            table: the file with the rows.
            first: the digest of its first row; empty if it has none.

        Raises:
            RefusedError: the file that holds it is damaged.
        """
        own = self.file_for(table)
        mine = self.own(table)
        found = [mine] if mine else []
        for other in sorted(self._folder.glob(f"*-{self._topic_id}.rows.json")) if first else ():
            if other != own and (progress := self._read(other)).first == first:
                found.append(progress)
        return found

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


def never_begun(file: Path) -> RefusedError:
    """Return the error for resuming a file that has no known earlier run."""
    return RefusedError(
        f"no earlier run of {file.name!r} on this topic is known, so there is nothing to go on with",
        detail="the progress of each run is kept per stack (--home, --stack), topic and file",
        hint="begin it without --resume",
    )
