"""The rows of a table that must still be sent, mapped to events, and the counts of the other rows.

This module uses no broker: the rows that the log holds already are passed in.
"""

import hashlib
from collections.abc import Iterator
from collections.abc import Mapping as Mapped
from typing import NamedTuple

from fraudctl.errors import RefusedError
from fraudctl.operations.produce.file_progress import FileProgress, SentRow, changed, left_out_changed
from fraudctl.simulator.mapper import MappedRow, Mapper
from fraudctl.tables.cells import TableRow, is_empty, text_of
from fraudctl.tables.rejection import RejectedRowError
from fraudctl.tables.row_counts import RowCounts
from fraudctl.tables.table import Table

# The number of left-out rows of which a digest is saved.
_MOST_LEFT_OUT = 1_000


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
        self._others = self._hash.copy()
        self._known: Mapped[int, SentRow] = {}
        self._earlier: FileProgress | None = None
        self.left_out: dict[int, str] = {}
        self.repeats_earlier = False
        self.next_row = 0
        self.counts = RowCounts()
        self.unclear_labels = RowCounts()
        self.remarks = RowCounts()
        self.already_sent: list[AlreadySent] = []

    @property
    def digest(self) -> str:
        """Return the digest of every row before `next_row`."""
        return self._hash.hexdigest()

    @property
    def others_digest(self) -> str:
        """Return the digest of the rows before `next_row` that are not in `left_out`."""
        return self._others.hexdigest()

    def compare_with(self, earlier: FileProgress) -> None:
        """Set `repeats_earlier` once all rows of an earlier run have been read, and are the same."""
        self._earlier = earlier

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
        return self._difference(progress) is None

    def check(self, progress: FileProgress) -> None:
        """Check that the rows before `progress.row` are the rows that were read before.

        Raises:
            RefusedError: they differ; the detail names the row if it had been left out.
            DataError: the file cannot be read up to there.
        """
        difference = self._difference(progress)
        if difference:
            raise difference

    def _difference(self, progress: FileProgress) -> RefusedError | None:
        """Return the error for rows that differ from those that were read before, or None."""
        digest, others = self._hash.copy(), self._others.copy()
        count, corrected = 0, ""
        for row in self._table.rows(self._needed):
            if row.number == progress.row:
                break
            count += 1
            digest.update(row.content)
            left_out = progress.left_out.get(row.number)
            if left_out is None:
                others.update(row.content)
            elif not corrected and left_out != _content_digest(row):
                corrected = _where(row)
        if count < progress.row:
            return changed(f"it has {count:,} rows, and {progress.row:,} were read then")
        if digest.hexdigest() == progress.digest:
            return None
        if corrected and others.hexdigest() == progress.others:
            return left_out_changed(corrected)
        return changed(f"the first {progress.row:,} rows are not all as they were read then")

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
                self._cover(row, left_out=row.number in progress.left_out)
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
                # A line without an end may still grow, and its row was not sent: the next run reads it again.
                if not row.unfinished:
                    self._passed(row, left_out=True)
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

    def _passed(self, row: TableRow, *, left_out: bool = False) -> None:
        self._cover(row, left_out=left_out)
        self.next_row = row.number + 1
        if self._earlier and self.next_row == self._earlier.row:
            self.repeats_earlier = self.digest == self._earlier.digest

    def _cover(self, row: TableRow, *, left_out: bool) -> None:
        """Add a row to the digests."""
        self._hash.update(row.content)
        if left_out and len(self.left_out) < _MOST_LEFT_OUT:
            self.left_out[row.number] = _content_digest(row)
        else:
            self._others.update(row.content)

    def _mapped(self, row: TableRow) -> MappedRow:
        if row.defect:
            raise RejectedRowError(row.defect.reason, row.cells[row.defect.reason], hint=row.defect.hint)
        return self._mapper.row(row.number, row.cells)

    def _check_same(self, row: TableRow, sent: SentRow) -> None:
        where = _where(row)
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
            return RejectedRowError(
                "the label is empty",
                hint='if that means genuine, say so in the mapping: label: {…, genuine: ["0", ""]}',
            )
        return RejectedRowError(
            "the label is named neither as fraud nor as genuine",
            text_of(cell),
            hint="name it in the mapping: label: {column: …, fraud: […], genuine: […]}",
        )


def _content_digest(row: TableRow) -> str:
    return hashlib.sha256(row.content).hexdigest()[:16]


def _where(row: TableRow) -> str:
    return f"row {row.number + 1:,}" + (f" (line {row.line:,})" if row.line else "")


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
