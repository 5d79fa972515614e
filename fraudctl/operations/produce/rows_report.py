"""The report of a file's rows, and the error of a run that lost too many."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fraudctl.errors import DataError
from fraudctl.operations.produce.file_mapping import MappedTable
from fraudctl.operations.produce.steady import Ending
from fraudctl.operations.produce.table_rows import TableSource
from fraudctl.tables.amounts import LEAVE_OUT_ZERO
from fraudctl.tables.row_counts import LeftOut

_MOST_REASONS = 5


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
    whole = replace(
        report,
        left_out=_with_hints(report.left_out, mapped),
        unclear_labels=_with_hints(report.unclear_labels, mapped),
    )
    if lost is None:
        return whole
    return replace(whole, error=FileError(lost.message, lost.detail, mapped.complete_hint(lost.hint)))


def _with_hints(reasons: tuple[LeftOut, ...], mapped: MappedTable) -> tuple[LeftOut, ...]:
    return tuple(replace(reason, hint=mapped.complete_hint(reason.hint)) for reason in reasons)


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
    rejected = [reason for reason in rows.left_out if not reason.chosen]
    left_out = f"{rows.rows_left_out:,} of {rows.rows_read:,} rows were left out"
    if rows.rows_left_out == rows.rows_read and (begun_now or rows.rows_rejected):
        return DataError(
            f"no row could be taken: {left_out}",
            detail=_counted(rejected),
            hint=_hint_for_all(rejected)
            or "correct the file or the mapping; --json has a hint for each reason",
        )
    if rows.rows_rejected * 100 > rows.allow_rejected * rows.rows_read:
        share = 100 * rows.rows_rejected / rows.rows_read
        return DataError(
            f"{left_out}, {rows.rows_rejected:,} of them ({share:.3g} %) though they should not be",
            detail=f"--allow-rejected is {rows.allow_rejected:g} %; the other rows were taken",
            hint=_hint_within(rows, rejected)
            or "correct the mapping or the file, or allow more with --allow-rejected",
        )
    return _label_loss(rows)


def _label_loss(rows: RowsReport) -> DataError | None:
    """Return the error of a run that could not read more labels than it may lose rows."""
    unclear, taken = rows.labels_unclear, rows.rows_taken
    hint = next((reason.hint for reason in rows.unclear_labels if reason.hint), "")
    if unclear and unclear == taken:
        return DataError(
            f"no label could be read: all {unclear:,} are unclear",
            hint=hint or "name the right column in the mapping, under `label`",
        )
    if unclear * 100 > rows.allow_rejected * taken:
        return DataError(
            f"{unclear:,} of {taken:,} labels ({100 * unclear / taken:.3g} %) are unclear: "
            "they say neither fraud nor genuine",
            detail=f"--allow-rejected is {rows.allow_rejected:g} %; these rows were taken without a label: "
            + _counted(rows.unclear_labels),
            hint=hint or "name the labels in the mapping, or allow more with --allow-rejected",
        )
    return None


def _counted(reasons: Sequence[LeftOut]) -> str:
    """Return the reasons with their counts and an example of each."""
    texts = []
    for reason in reasons[:_MOST_REASONS]:
        example = f" ({reason.example!r})" if reason.example else ""
        texts.append(f"{reason.count:,} because {reason.reason}{example}")
    return "; ".join(texts)


def _hint_for_all(rejected: Sequence[LeftOut]) -> str:
    """Return a hint by which rows could be taken though none was; empty if no single one helps."""
    hints = {reason.hint for reason in rejected}
    only = hints.pop() if len(hints) == 1 else ""
    return "" if only == LEAVE_OUT_ZERO else only


def _hint_within(rows: RowsReport, rejected: Sequence[LeftOut]) -> str:
    """Return the hint of a reason without whose rows the run would lose no more than allowed."""
    allowed = rows.allow_rejected * rows.rows_read
    enough = [one for one in rejected if (rows.rows_rejected - one.count) * 100 <= allowed]
    return next((reason.hint for reason in enough if reason.hint), "")
