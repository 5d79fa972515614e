"""The rows of a table that must still be sent, mapped to events, and the counts of the other rows.

This module uses no broker: the rows that the log holds already are passed in.
"""

import hashlib
from collections.abc import Iterator
from collections.abc import Mapping as Mapped
from typing import NamedTuple

from fraudctl.errors import RefusedError
from fraudctl.operations.produce.file_progress import FileProgress, SentRow, changed
from fraudctl.simulator.mapper import MappedRow, Mapper
from fraudctl.tables.cells import TableRow, is_empty, text_of
from fraudctl.tables.rejection import RejectedRowError
from fraudctl.tables.row_counts import RowCounts
from fraudctl.tables.table import Table


class AlreadySent(NamedTuple):
    """A row that the log held already, and the time of its event there."""

    row: MappedRow
    event_time: str


class TableSource:
    """One pass through a table; the caller must call `done` for each row it sent before taking the next."""

    def __init__(
        self, table: Table, needed: set[str], mapper: Mapper, *, label_column: str | None = None
    ) -> None:
        """Start before the first row.

        Args:
            table: the table to read.
            needed: the names of the columns to read.
            mapper: turns the cells of a row into an event.
            label_column: the column with the fraud label; None if the table has none.
        """
        self._table = table
        self._needed = needed
        self._mapper = mapper
        self._label_column = label_column
        self._hash = hashlib.sha256(repr(sorted(needed)).encode())
        self._known: Mapped[int, SentRow] = {}
        self.next_row = 0
        self.counts = RowCounts()
        self.unclear_labels = RowCounts()
        self.remarks = RowCounts()
        self.already_sent: list[AlreadySent] = []

    @property
    def digest(self) -> str:
        """Return the digest of every row before `next_row`."""
        return self._hash.hexdigest()

    def first_row_digest(self) -> str:
        """Return a digest of the first row; an empty string if the table has no rows.

        Raises:
            DataError: the file cannot be read up to there.
        """
        first = next(self._table.rows(self._needed), None)
        return hashlib.sha256(first.content).hexdigest() if first else ""

    def matches(self, progress: FileProgress) -> bool:
        """Return whether the rows before `progress.row` are the rows that were sent before.

        Raises:
            DataError: the file cannot be read up to there.
        """
        digest = self._hash.copy()
        row = -1
        for row, read in enumerate(self._table.rows(self._needed)):
            if row == progress.row:
                return digest.hexdigest() == progress.digest
            digest.update(read.content)
        return row + 1 == progress.row and digest.hexdigest() == progress.digest

    def resume(self, progress: FileProgress, known: Mapped[int, SentRow]) -> None:
        """Continue at `progress.row`, and skip later rows that the log holds already.

        Args:
            progress: the saved progress of the earlier run.
            known: the rows in the log, by their numbers.

        Raises:
            RefusedError: a row that the log holds is no longer in the file, or has changed.
            DataError: the file cannot be read up to there.
        """
        beyond = {number: sent for number, sent in known.items() if number >= progress.row}
        left = set(beyond)
        for row in self._table.rows(self._needed):
            if row.number < progress.row:
                self._hash.update(row.content)
                continue
            if not left:
                break
            if row.number in left:
                self._check_same(row, beyond[row.number])
                left.discard(row.number)
        if left:
            raise changed(f"row {min(left) + 1:,} was sent, and the file no longer has it")
        self.next_row = progress.row
        self._known = beyond

    def __iter__(self) -> Iterator[tuple[TableRow, MappedRow]]:
        """Yield the rows to send, each with its mapped event.

        Raises:
            DataError: the file cannot be read further.
        """
        for row in self._table.rows(self._needed):
            if row.number < self.next_row:
                continue
            try:
                mapped = self._mapped(row)
            except RejectedRowError as error:
                self.counts.leave_out(row, error)
                self._passed(row)
                continue
            known = self._known.get(row.number)
            if known is None:
                yield row, mapped
            else:
                self.already_sent.append(AlreadySent(mapped, known.event_time))
                self._passed(row)

    def done(self, row: TableRow, mapped: MappedRow) -> None:
        """Count a row that has been sent."""
        self.counts.taken += 1
        if mapped.fraud is None and self._label_column is not None:
            self.unclear_labels.leave_out(row, self._unclear(row, self._label_column))
        for remark in (*row.remarks, *mapped.remarks):
            self.remarks.leave_out(row, remark)
        self._passed(row)

    def _passed(self, row: TableRow) -> None:
        self._hash.update(row.content)
        self.next_row = row.number + 1

    def _mapped(self, row: TableRow) -> MappedRow:
        if row.defect:
            raise RejectedRowError(
                f"the row has {row.defect}",
                row.cells[row.defect],
                hint=row.hint,
            )
        return self._mapper.row(row.number, row.cells)

    def _check_same(self, row: TableRow, sent: SentRow) -> None:
        where = f"row {row.number + 1:,}" + (f" (line {row.line:,})" if row.line else "")
        try:
            mapped = self._mapped(row)
        except RejectedRowError as error:
            raise changed(f"{where} was sent, and cannot be a transaction now: {error}") from error
        if mapped.event != sent.event:
            raise changed(f"{where} was sent with other values")

    @staticmethod
    def _unclear(row: TableRow, column: str) -> RejectedRowError:
        cell = row.cells[column]
        if is_empty(cell) or not text_of(cell).strip():
            return RejectedRowError("the label is empty")
        return RejectedRowError(
            "the label is named neither as fraud nor as genuine",
            text_of(cell),
            hint="name it in the mapping: label: {column: …, fraud: […], genuine: […]}",
        )


def check_same_run(progress: FileProgress, mapping: str, key: str) -> None:
    """Check that a run is resumed with the mapping and the key that it was started with.

    Args:
        progress: the saved progress of the run.
        mapping: the digest of the present mapping.
        key: the name of the present key; empty if the mapping has no digests.

    Raises:
        RefusedError: mapping or key differ, so the run's rows would not be recognised.
    """
    if progress.mapping != mapping:
        raise RefusedError(
            "the file was begun with another mapping, so its rows would not be recognised",
            hint="go on with the same --mapping (and events.categories), or begin anew without --resume",
        )
    if progress.key != key:
        raise RefusedError(
            "the key for digests of cards is not the one that the file was begun with",
            detail="cards would get other identifiers than in the rows that were sent",
            hint="put secrets/card-digest.key of this stack back, or begin anew without --resume",
        )
