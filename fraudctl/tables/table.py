"""Opening of a table of any kind, recognised by the beginning of the file and not by its name."""

from pathlib import Path

from fraudctl.config.file_kinds import special_kind
from fraudctl.errors import DataError, UsageError
from fraudctl.tables.delimited import DelimitedTable
from fraudctl.tables.layout import Layout
from fraudctl.tables.parquet import ParquetTable
from fraudctl.tables.streams import PARQUET_MARK, first_bytes, is_packed

Table = DelimitedTable | ParquetTable
_PARQUET_NAMES = (".parquet", ".pq")


def open_table(file: Path, layout: Layout) -> Table:
    """Open a table of text or a Parquet file, and read its header.

    Raises:
        UsageError: there is no such regular file, or its layout contradicts what was given.
        DataError: it is empty, damaged, or not a table.
    """
    _check_readable_twice(file)
    begin = first_bytes(file)
    if not begin:
        raise DataError(f"{file} is empty", hint="give a table with a header and rows")
    if begin.startswith(PARQUET_MARK):
        if layout.delimiter or layout.encoding:
            raise UsageError(
                f"{file.name!r} is Parquet, which has neither delimiter nor encoding",
                hint="leave --delimiter and --encoding out, and `table` out of the mapping",
            )
        return ParquetTable(file)
    if file.suffix.lower() in _PARQUET_NAMES and not is_packed(begin):
        raise DataError(
            f"{file} is not Parquet: it does not begin with {PARQUET_MARK.decode()}",
            hint="get the file again, or give it the name of what it is, such as .csv for text",
        )
    table = DelimitedTable(file, layout)
    if not table.columns():
        raise DataError(f"{file} has no header", hint="its first line must name the columns")
    return table


def _check_readable_twice(file: Path) -> None:
    """Raise a UsageError unless the path names a regular file: its rows are read more than once."""
    try:
        kind = special_kind(file)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {file}") from error
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise UsageError(f"{file} cannot be read: {reason}") from error
    if kind == "a folder":
        raise UsageError(
            f"{file} is a folder, and one table is read at a time", hint="give one of the files in it"
        )
    if kind:
        raise UsageError(
            f"{file} is {kind}, and a table is read more than once",
            hint="write the table to a file, and give that one",
        )
