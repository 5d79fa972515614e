"""The report of a file's rows, and the error of a run that lost too many."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from fraudctl.errors import DataError
from fraudctl.operations.produce.file_mapping import MappedTable
from fraudctl.operations.produce.steady import Ending
from fraudctl.operations.produce.table_rows import TableSource
from fraudctl.tables.row_counts import LeftOut


@dataclass(frozen=True)
class FileError:
    """The error of a run with bad input: damage, no rows, too many rows left out, or no readable label."""

    message: str
    detail: str
    hint: str


@dataclass(frozen=True)
class RowsReport:
    """The rows of one run: rows_read = rows_taken + already_in_log + rows_left_out.

    `first_row` and `next_row` are the indexes of the first row of this run and of the next run.
    `rows_rejected` counts those of `rows_left_out` that the mapping does not exclude on purpose.
    `labels_unclear` counts rows that were sent although their label says neither fraud nor genuine. `remarks`
    counts rows that were sent and that somebody should look at, by the kind of doubt.
    """

    file: Path
    mapping: str
    first_row: int
    next_row: int
    rows_read: int
    rows_taken: int
    already_in_log: int
    rows_left_out: int
    rows_rejected: int
    left_out: tuple[LeftOut, ...]
    fraud: int
    labels_unclear: int
    unclear_labels: tuple[LeftOut, ...]
    remarks: tuple[LeftOut, ...]
    allow_rejected: float
    notes: tuple[str, ...]
    error: FileError | None


def report_rows(
    mapped: MappedTable,
    source: TableSource,
    first_row: int,
    fraud: int,
    error: DataError | None,
    notes: tuple[str, ...],
    allow_rejected: float,
    ended_by: Ending,
) -> RowsReport:
    """Return the report of the rows that were read from a source; `error` is the one that ended reading."""
    counts, unclear = source.counts, source.unclear_labels
    report = RowsReport(
        file=printable(mapped.table.file),
        mapping=mapped.name,
        first_row=first_row,
        next_row=source.next_row,
        rows_read=counts.read + len(source.already_sent),
        rows_taken=counts.taken,
        already_in_log=len(source.already_sent),
        rows_left_out=counts.left_out,
        rows_rejected=counts.rejected,
        left_out=counts.reasons,
        fraud=fraud,
        labels_unclear=unclear.left_out,
        unclear_labels=unclear.reasons,
        remarks=source.remarks.reasons,
        allow_rejected=allow_rejected,
        notes=(mapped.note, *notes) if mapped.note else notes,
        error=None,
    )
    lost = error or _loss(report, ended_by)
    return replace(report, error=FileError(lost.message, lost.detail, lost.hint)) if lost else report


def printable(file: Path) -> Path:
    """Return a file's name with bytes that are not UTF-8 replaced, because JSON cannot hold them."""
    return Path(os.fsencode(file).decode("utf-8", "replace"))


def rows_error(rows: RowsReport) -> DataError | None:
    """Return the error of a run that lost input; None if it lost no more rows than allowed."""
    if rows.error is None:
        return None
    return DataError(rows.error.message, detail=rows.error.detail, hint=rows.error.hint)


def _loss(rows: RowsReport, ended_by: Ending) -> DataError | None:
    begun_now = rows.first_row == 0
    if rows.rows_read == 0:
        if ended_by == "end" and begun_now:
            return DataError(f"{rows.file} has no rows", hint="a header alone is no table")
        return None
    hint = next((reason.hint for reason in rows.left_out if not reason.chosen and reason.hint), "")
    left_out = f"{rows.rows_left_out:,} of {rows.rows_read:,} rows were left out"
    if rows.rows_left_out == rows.rows_read and (begun_now or rows.rows_rejected):
        return DataError(f"no row could be taken: {left_out}", hint=hint or "look at the reasons above")
    if rows.rows_rejected * 100 > rows.allow_rejected * rows.rows_read:
        share = 100 * rows.rows_rejected / rows.rows_read
        return DataError(
            f"{left_out}, {rows.rows_rejected:,} of them ({share:.3g} %) though they should not be",
            detail=f"--allow-rejected is {rows.allow_rejected:g} %; the other rows were taken",
            hint=hint or "correct the mapping or the file, or allow more with --allow-rejected",
        )
    if rows.labels_unclear and rows.labels_unclear == rows.rows_taken:
        return DataError(
            f"no label could be read: all {rows.labels_unclear:,} are unclear",
            hint=next((reason.hint for reason in rows.unclear_labels if reason.hint), "")
            or "name the right column in the mapping, under `label`",
        )
    return None
