"""The report of a file's rows as text: how many were read, sent and left out, and why."""

from fraudctl.operations.produce.file import FileChecked, FileProduced
from fraudctl.operations.produce.rows_report import RowsReport
from fraudctl.tables.row_counts import LeftOut
from fraudctl.ui.text.produce import skipped

MOST_REASONS = 10


def file_summary(result: FileProduced) -> str:
    """Return the report of one run of a file."""
    lines = [
        f"sent {result.sent:,} to {result.topic!r}: "
        f"{result.acknowledged:,} acknowledged, {result.failed:,} failed",
        f"pace: {result.rate_achieved:,.1f}/s achieved, over {result.seconds:,.1f} s from {result.anchor}",
        *_rows(result, "sent"),
        f"digest: {result.digest}",
    ]
    if result.labels_topic:
        lines.append(f"labels: {result.labels_sent:,} to {result.labels_topic!r}")
    if result.skipped_seconds:
        lines.append(skipped(result))
    return "\n".join(lines)


def check_summary(result: FileChecked) -> str:
    """Return the report of a run without sending."""
    return "\n".join(["nothing was sent (--dry-run)", *_rows(result, "fit to be sent")])


def _rows(rows: RowsReport, taken: str) -> list[str]:
    last = rows.first_row + rows.rows_read
    span = f"rows {rows.first_row + 1:,} to {last:,}" if rows.rows_read else "no more rows"
    lines = [
        f"file: {rows.file} as {rows.mapping}, {span}",
        f"rows: {rows.rows_read:,} read, {rows.rows_taken:,} {taken}, {rows.rows_left_out:,} left out",
        f"fraud: {rows.fraud:,}",
    ]
    if rows.already_in_log:
        lines.append(f"{rows.already_in_log:,} rows were in the log already")
    lines.extend(_reason(reason, "left out") for reason in rows.left_out[:MOST_REASONS])
    more = rows.left_out[MOST_REASONS:]
    if more:
        lines.append(f"{sum(reason.count for reason in more):,} rows left out for {len(more)} more reasons")
    lines.extend(_reason(reason, "without a label that counts") for reason in rows.unclear_labels)
    lines.extend(line for remark in rows.remarks for line in _remark(remark, taken))
    lines.extend(f"note: {note}" for note in rows.notes)
    return lines


def _remark(remark: LeftOut, taken: str) -> list[str]:
    return [
        f"note: {_reason(remark, f'{taken}, with a doubt')}",
        *([f"  hint: {remark.hint}"] if remark.hint else []),
    ]


def _reason(reason: LeftOut, what: str) -> str:
    if reason.first_lines:
        where = (
            f"line{'s' if len(reason.first_lines) > 1 else ''} {_numbers(reason.first_lines, reason.count)}"
        )
    else:
        where = f"row{'s' if len(reason.first_rows) > 1 else ''} {_numbers(reason.first_rows, reason.count)}"
    example = f", for example '{reason.example}'" if reason.example else ""
    chosen = " (the mapping says so)" if reason.chosen else ""
    plural = "row" if reason.count == 1 else "rows"
    return f"{reason.count:,} {plural} {what}{chosen}: {reason.reason} ({where}{example})"


def _numbers(numbers: tuple[int, ...], count: int) -> str:
    return ", ".join(f"{number:,}" for number in numbers) + (", …" if count > len(numbers) else "")
