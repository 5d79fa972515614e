"""Parquet files as typed columns: no lossy conversion, and damage is located by row."""

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fraudctl.errors import DataError
from fraudctl.tables.cells import Cell, Moment, TableRow
from fraudctl.tables.delimited import check_unique, missing_columns

_BATCH_ROWS = 8_192
# From it on, a float of so many bits no longer holds every whole number: the next one is rounded to it.
_EXACT_FLOAT16 = 2**11
_EXACT_FLOAT32 = 2**24
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_MICROSECONDS = 1_000_000


class ParquetTable:
    """A Parquet file whose schema has been read."""

    def __init__(self, file: Path) -> None:
        """Read the schema of a file.

        Raises:
            DataError: the file is damaged, or not Parquet.
        """
        import pyarrow.parquet

        self.file = file
        try:
            self._parquet = pyarrow.parquet.ParquetFile(file, page_checksum_verification=True)
            self._schema = self._parquet.schema_arrow
            self._names = tuple(self._schema.names)
        except _damage() as error:
            raise _damaged(file, error, "its footer cannot be read") from error

    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns, in their order."""
        return self._names

    def header_line(self, needed: Collection[str]) -> int | None:
        """Return None: the columns of Parquet are named in its schema alone."""
        return None

    def fits(self, needed: Collection[str]) -> bool:
        """Tell whether the table has all of these columns."""
        return set(needed) <= set(self._names)

    def check(self, needed: Collection[str]) -> None:
        """Check that each of these columns is there once and has a type that fields can be made of.

        Raises:
            UsageError: a column is missing.
            DataError: there are two columns of one name, or one of a type that no field is made of.
        """
        if not self.fits(needed):
            raise missing_columns(self.file, needed, self._names)
        check_unique(self.file, needed, self._names)
        for name in needed:
            self._check_type(name, self._schema.field(name).type)

    def rows(self, needed: Collection[str]) -> Iterator[TableRow]:
        """Yield every row, in the order of the file.

        Raises:
            DataError: a part of the file is damaged, or a column is there twice or has an unsuitable type.
            UsageError: a column is missing.
        """
        self.check(needed)
        names = sorted(needed)
        types = [self._schema.field(name).type for name in names]
        number = 0
        try:
            groups = self._parquet.num_row_groups
        except _damage() as error:
            raise _damaged(self.file, error, "its footer cannot be read") from error
        for group in range(groups):
            batches = iter(
                self._parquet.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=names)
            )
            while True:
                try:
                    batch = next(batches, None)
                    if batch is None:
                        break
                    columns = [
                        _cells(batch.column(batch.schema.get_field_index(name)), kind)
                        for name, kind in zip(names, types, strict=True)
                    ]
                except _damage() as error:
                    where = f"row group {group + 1} of {groups} cannot be read beyond row {number:,}"
                    raise _damaged(self.file, error, where) from error
                for values in zip(*columns, strict=True):
                    cells = dict(zip(names, values, strict=True))
                    yield TableRow(number, None, cells, repr(values).encode())
                    number += 1

    def _check_type(self, name: str, kind: Any) -> None:
        from pyarrow import types

        if types.is_nested(kind) or types.is_duration(kind) or types.is_interval(kind):
            raise DataError(
                f"the column {name!r} of {self.file.name!r} has the type {kind}, and no field is made of it",
                detail="a field is made of text, numbers, booleans or times",
                hint="write the part that is meant into a column of its own, and map that one",
            )


def _damage() -> tuple[type[BaseException], ...]:
    """Return the errors that pyarrow raises for a file that does not match its own footer."""
    import pyarrow

    return (pyarrow.ArrowException, OSError, ValueError, MemoryError, OverflowError)


def _damaged(file: Path, error: BaseException, where: str) -> DataError:
    own = error.strerror if isinstance(error, OSError) and error.errno else None
    return DataError(
        f"the Parquet file {file} is damaged: {where}",
        detail=own or "its bytes are not what the file itself says of them",
        hint="get the file again (compare its size or checksum); a run that was begun goes on with --resume",
    )


def _cells(column: Any, kind: Any) -> list[Cell]:
    """Return a column's values as cells."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(kind):
        return _cells(column.dictionary_decode(), kind.value_type)
    if types.is_timestamp(kind):
        return [
            None if value is None else Moment(value * _MICROSECONDS // _PER_SECOND[kind.unit])
            for value in column.cast(pyarrow.int64()).to_pylist()
        ]
    if types.is_date(kind):
        days = column.cast(pyarrow.date32()).cast(pyarrow.int32()).to_pylist()
        return [None if value is None else Moment(value * 86_400 * _MICROSECONDS) for value in days]
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        try:
            return list(column.to_pylist())
        except UnicodeDecodeError:
            return _decoded(column.cast(pyarrow.large_binary()).to_pylist())
    if _is_binary(kind):
        return _decoded(column.to_pylist())
    if types.is_float16(kind) or types.is_float32(kind):
        return [
            _short_float(value, half=types.is_float16(kind))
            for value in column.cast(pyarrow.float32()).to_pylist()
        ]
    values = column.to_pylist()
    if types.is_integer(kind) or types.is_float64(kind) or types.is_boolean(kind) or types.is_decimal(kind):
        return list(values)
    return [None if value is None else str(value) for value in values]


def _is_binary(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _decoded(values: list[bytes | None]) -> list[Cell]:
    """Return bytes as the text that they are in UTF-8; bytes that are not UTF-8 stay bytes."""
    decoded: list[Cell] = []
    for value in values:
        try:
            decoded.append(None if value is None else value.decode("utf-8"))
        except UnicodeDecodeError:
            decoded.append(value)
    return decoded


def _short_float(value: float | None, *, half: bool) -> Cell:
    """Return a 32-bit float, or one of 16 bits (`half`), as the shortest number that is stored as it.

    A float that is too large to be exact becomes text with an exponent: an amount can be made of it, an
    identifier cannot.
    """
    import numpy as np

    if value is None or value != value:
        return None
    if math.isfinite(value) and abs(value) >= (_EXACT_FLOAT16 if half else _EXACT_FLOAT32):
        return f"{value:.3E}" if half else f"{value:.6E}"
    return float(str(np.float16(value) if half else np.float32(value)))
