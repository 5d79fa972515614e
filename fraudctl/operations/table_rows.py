"""Rows of a CSV or Parquet file, from any row on, without holding the file in memory."""

import csv
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fraudctl.errors import DataError, UsageError

Row = dict[str, Any]
PARQUET = (".parquet", ".pq")
_SAMPLE_BYTES = 1 << 20


def fingerprint(file: Path) -> str:
    """Tells one file from another: by its size, its beginning and its end."""
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as stream:
        digest.update(stream.read(_SAMPLE_BYTES))
        stream.seek(max(0, size - _SAMPLE_BYTES))
        digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def rows(file: Path, needed: set[str], *, skip: int) -> Iterator[tuple[int, Row]]:
    """Every row with its number, the first one 0, from row `skip` on. The columns are checked at once.

    Raises:
        UsageError: the file is neither CSV nor Parquet, or lacks a column.
        DataError: it is not what its name says.
    """
    suffix = file.suffix.lower()
    if suffix == ".csv":
        return _csv_rows(file, needed, skip)
    if suffix in PARQUET:
        return _parquet_rows(file, needed, skip)
    raise UsageError(
        f"{file.name!r} is neither CSV nor Parquet", hint="the name must end in .csv or .parquet"
    )


def _csv_rows(file: Path, needed: set[str], skip: int) -> Iterator[tuple[int, Row]]:
    with _csv(file) as reader:
        _need(file, needed, set(reader.fieldnames or ()))

    def read() -> Iterator[tuple[int, Row]]:
        with _csv(file) as reader:
            for number, row in enumerate(reader):
                if number >= skip:
                    yield number, row

    return read()


@contextmanager
def _csv(file: Path) -> Iterator["csv.DictReader[str]"]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        try:
            yield csv.DictReader(stream)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{file} is not CSV in UTF-8", detail=str(error)) from error


def _parquet_rows(file: Path, needed: set[str], skip: int) -> Iterator[tuple[int, Row]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(file)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{file} is not Parquet", detail=str(error)) from error
    _need(file, needed, set(table.schema_arrow.names))

    def read() -> Iterator[tuple[int, Row]]:
        number = 0
        for batch in table.iter_batches(columns=sorted(needed)):
            if number + len(batch) > skip:
                for place, row in enumerate(batch.to_pylist()):
                    if number + place >= skip:
                        yield number + place, row
            number += len(batch)

    return read()


def _need(file: Path, needed: set[str], present: set[str]) -> None:
    missing = sorted(needed - present)
    if missing:
        raise UsageError(
            f"{file.name!r} lacks {', '.join(missing)}",
            detail=f"its columns: {', '.join(sorted(present)) or 'none'}",
            hint="name the mapping that fits it with --mapping",
        )
