"""Tables of text: the delimiter is given or recognised, and rows have as many fields as the header."""

import csv
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from fraudctl.errors import DataError, UsageError
from fraudctl.tables.cells import Defect, Remark, TableRow, shown
from fraudctl.tables.layout import Layout
from fraudctl.tables.streams import LONGEST_LINE, Lines, unpacked

DELIMITERS = (",", ";", "\t", "|")
# Excel writes and reads a first line such as `sep=;`, which names the delimiter.
_SEP_LINE = re.compile(r'"?sep=(.)"?;*\s*', re.IGNORECASE)
# JSON, JSON lines, HTML and XML begin like this, and no header does.
_NO_TABLE = ("{", "[{", "<")
_MARK = "\ufeff"
_WIDTH = Defect(
    "the row has another number of fields than the header",
    "a delimiter or a line end that belongs to a text must stand in quotation marks",
)
_ENDS_EMPTY = Defect(_WIDTH.reason, "each row ends with a delimiter: add one at the end of the header, too")
_CUT = Defect(
    "the row has fewer fields than the header, and its line has no end",
    "if the file is still being written, go on with --resume when the line is whole; otherwise complete it",
)
_HEADER_AGAIN = Defect(
    "the row is the header again", "remove this line: files that are joined each bring their header"
)
# The lines in which a header is looked for if the first line is none.
_HEADER_LINES = 20
# Longer rows would have to be held in memory. No field is longer than its row, so the csv module's own limit
# is never met.
LONGEST_ROW = LONGEST_LINE
csv.field_size_limit(2 * LONGEST_ROW)
_JOINED = Remark(
    "a cell spans several lines and holds the delimiter",
    hint="look whether two stray quotation marks have made one row of several",
)


class DelimitedTable:
    """A table of text whose header has been read; `headers` has its columns for each possible delimiter."""

    def __init__(self, file: Path, layout: Layout) -> None:
        """Read the header of a file.

        Args:
            file: the table, packed or not.
            layout: separators and encoding, as far as they are given.

        Raises:
            DataError: the file is not a table of text, or its header cannot be read.
            UsageError: the file names another delimiter than the layout.
        """
        self.file = file
        self._layout = layout
        with self._opened() as lines:
            first, encoding = next(iter(lines), ""), lines.encoding
        _check_first_line(file, first, encoding)
        told = _SEP_LINE.fullmatch(first)
        self._skip = 1 if told else 0
        self._unreadable: UnreadableRowError | None = None
        delimiters = self._delimiters(told[1] if told else None)
        found = {delimiter: self._header(delimiter) for delimiter in delimiters}
        self.headers = {delimiter: names for delimiter, names in found.items() if names}
        if self._unreadable and not self.headers:
            raise self._unreadable

    def columns(self) -> tuple[str, ...]:
        """Return the columns for the delimiter that finds most of them."""
        return max(self.headers.values(), key=len, default=())

    def fits(self, needed: Collection[str]) -> bool:
        """Tell whether the header has all of these columns."""
        return bool(self._fitting(needed))

    def check(self, needed: Collection[str]) -> None:
        """Check that each of these columns is there once.

        Raises:
            UsageError: a column is missing, or the delimiter cannot be recognised.
            DataError: there are two columns of one name.
        """
        self._delimiter(needed)

    def rows(self, needed: Collection[str]) -> Iterator[TableRow]:
        """Yield every row that is not blank, in the order of the file.

        Raises:
            DataError: the file cannot be read on (a quotation that never ends, a byte that is not text), or
                it has two columns of one name.
            UsageError: a column is missing, or the delimiter cannot be recognised.
        """
        delimiter = self._delimiter(needed)
        names = self.headers[delimiter]
        wanted = [(name, names.index(name)) for name in sorted(needed)]
        width = len(names)
        with self._opened() as lines:
            records = _Records(self.file, lines, self._dialect(delimiter), self._skip)
            next(records)  # the header
            for number, (line, fields) in enumerate(records):
                if len(fields) != width:
                    defect = _wrong_width(fields, width, unfinished=records.unfinished)
                    cells = {defect.reason: f"{len(fields)} instead of {width}"}
                    content = repr(fields).encode()
                    yield TableRow(number, line, cells, content, defect, records.unfinished)
                    continue
                cells = {name: fields[index] for name, index in wanted}
                content = repr(list(cells.values())).encode()
                if fields[0].strip("\ufeff \t") == names[0] and _names(fields) == names:
                    yield TableRow(number, line, {_HEADER_AGAIN.reason: ""}, content, _HEADER_AGAIN)
                else:
                    remarks = (_JOINED,) if records.spans_lines and _is_joined(fields, delimiter) else ()
                    yield TableRow(number, line, cells, content, None, records.unfinished, remarks)

    def header_line(self, needed: Collection[str]) -> int | None:
        """Return the line that names these columns, if it is near the beginning and not the first one."""
        try:
            with self._opened() as lines:
                for line in islice(lines, _HEADER_LINES):
                    found = [_names(_fields(line, self._dialect(one))) for one in self.headers]
                    if lines.taken > self._skip + 1 and any(set(needed) <= set(names) for names in found):
                        return lines.taken
        except DataError:
            return None
        return None

    @contextmanager
    def _opened(self) -> Iterator[Lines]:
        with unpacked(self.file) as stream:
            yield Lines(self.file, stream, self._layout.encoding)

    def _delimiters(self, in_file: str | None) -> tuple[str, ...]:
        told = self._layout.delimiter
        if told and in_file and told != in_file:
            raise UsageError(
                f"{self.file.name!r} says sep={in_file}, and its delimiter was said to be {told!r}",
                hint="leave the delimiter out",
            )
        given = told or in_file
        others = (self._layout.quote, self._layout.escape)
        if given and given in others:
            raise UsageError(
                f"{given!r} cannot both separate fields and quote or escape",
                hint="say with --delimiter what separates them, or correct `quote` in the mapping",
            )
        return (given,) if given else tuple(one for one in DELIMITERS if one not in others)

    def _header(self, delimiter: str) -> tuple[str, ...]:
        """Return the names of the columns for a delimiter, or none if the header cannot be read with it."""
        with self._opened() as lines:
            records = _Records(self.file, lines, self._dialect(delimiter), self._skip)
            try:
                _, fields = next(records, (0, []))
            except UnreadableRowError as error:
                self._unreadable = error
                return ()
        return _names(fields)

    def _fitting(self, needed: Collection[str]) -> list[str]:
        return [delimiter for delimiter, names in self.headers.items() if set(needed) <= set(names)]

    def _delimiter(self, needed: Collection[str]) -> str:
        fitting = self._fitting(needed)
        if len(fitting) > 1:
            raise UsageError(
                f"the delimiter of {self.file.name!r} cannot be recognised: {' and '.join(fitting)} fit",
                hint="say which it is with --delimiter",
            )
        if not fitting:
            error = missing_columns(self.file, needed, self.columns())
            error.hint = title_hint(self.header_line(needed)) or (
                f"{error.hint}, and its delimiter with --delimiter if the columns are not told apart"
            )
            raise error
        check_unique(self.file, needed, self.headers[fitting[0]])
        return fitting[0]

    def _dialect(self, delimiter: str) -> dict[str, Any]:
        quote, escape = self._layout.quote, self._layout.escape
        return {
            "delimiter": delimiter,
            "quotechar": quote or None,
            "quoting": csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
            "escapechar": escape or None,
            "strict": True,
        }


def _check_first_line(file: Path, line: str, encoding: str) -> None:
    """Check that a first line may be the header of a table.

    Raises:
        DataError: it is JSON or markup, or a second byte order mark would be part of the first column's name.
    """
    if line.lstrip().startswith(_NO_TABLE):
        raise DataError(
            f"{file} is JSON or markup, not a table of text or Parquet",
            hint="write its records as CSV with a header, or as Parquet, and give that file",
        )
    if line.startswith(_MARK):
        kept = len(_MARK.encode(encoding)) + 1
        raise DataError(
            f"{file} begins with two byte order marks",
            detail="the second one would be part of the first column's name",
            hint=f"take one of them away, for example with `tail -c +{kept} FILE > NEW`, and give that file",
        )


def _is_joined(fields: list[str], delimiter: str) -> bool:
    """Tell whether one cell holds both a line break and the delimiter."""
    return any(delimiter in field and ("\n" in field or "\r" in field) for field in fields)


def _wrong_width(fields: list[str], width: int, *, unfinished: bool) -> Defect:
    """Return the defect of a row with another number of fields than the header has."""
    if unfinished and len(fields) < width:
        return _CUT
    return _ENDS_EMPTY if len(fields) > width and not any(fields[width:]) else _WIDTH


class UnreadableRowError(DataError):
    """A row whose end cannot be found, usually because of an unclosed quotation."""


class _Records:
    """The records of a file with the lines in which they begin; blank lines are skipped."""

    def __init__(self, file: Path, lines: Lines, dialect: dict[str, Any], skip: int) -> None:
        self._file = file
        self._dialect = dialect
        self.unfinished = False
        # The text of the record that is being read, to locate an error in it.
        self._text: list[str] = []
        self._length = 0
        self._lines = lines
        self._reader = csv.reader(self._remembered(skip), **dialect)

    def __iter__(self) -> "_Records":
        return self

    @property
    def spans_lines(self) -> bool:
        """Tell whether the record that was read last has more than one line."""
        return len(self._text) > 1

    def __next__(self) -> tuple[int, list[str]]:
        while True:
            self._text.clear()
            self._length = 0
            try:
                fields = next(self._reader)
            except csv.Error as error:
                raise self._unreadable() from error
            if fields:
                # The reader takes a line only when it needs one.
                self.unfinished = not self._text[-1].endswith(("\r", "\n"))
                return self._lines.taken - len(self._text) + 1, fields

    def _remembered(self, skip: int) -> Iterator[str]:
        for line in self._lines:
            if self._lines.taken > skip:
                self._text.append(line)
                self._length += len(line)
                if self._length > LONGEST_ROW:
                    raise self._unreadable(f"a row may have {LONGEST_ROW:,} characters")
                yield line

    def _unreadable(self, reason: str = "") -> UnreadableRowError:
        begin = self._lines.taken - len(self._text) + 1
        opened = _open_quotation("".join(self._text), self._dialect)
        if opened is None:
            return UnreadableRowError(
                f"{self._file}: line {begin:,} cannot be read as a row",
                detail=reason or "its end, or what its last escape character stands before, is missing",
                hint=f"correct line {begin:,}, or say in the mapping, with `table`, which characters quote "
                "and escape; then go on with --resume",
            )
        line = begin + opened
        return UnreadableRowError(
            f"{self._file}: the quotation that begins in line {line:,} does not end where a field ends",
            detail=f"looked for its end up to line {self._lines.taken:,}" + (f": {reason}" if reason else ""),
            hint=f"correct line {line:,} (double a quotation mark that belongs to the text), or, if marks do "
            'not quote in this table, say `table: {quote: ""}` in the mapping; then go on with --resume',
        )


def _open_quotation(text: str, dialect: dict[str, Any]) -> int | None:
    """Return the line of a record (from 0) in which its last quotation begins, or None without one."""
    quote, delimiter, escape = dialect["quotechar"], dialect["delimiter"], dialect["escapechar"]
    if quote is None:
        return None
    # A quotation that does not end may be long: only the characters with a meaning in it are looked at.
    within = re.compile("[" + re.escape(quote + (escape or "")) + "]")
    without = re.compile("[" + re.escape(quote + delimiter + (escape or "")) + "\r\n]")
    opened, quoted, begins, index = None, False, 0, 0
    while found := (within if quoted else without).search(text, index):
        character, index = found[0], found.end()
        if character == escape:
            index += 1
        elif character != quote:
            begins = index
        elif not quoted:
            if begins == index - 1:
                opened, quoted = index - 1, True
        elif text[index : index + 1] == quote:
            index += 1
        else:
            quoted = False
            if text[index : index + 1] not in ("", delimiter, "\r", "\n"):
                break
    return None if opened is None else len(re.findall(r"\r\n|\r|\n", text[:opened]))


def missing_columns(file: Path, needed: Collection[str], present: Collection[str]) -> UsageError:
    """Return the error that names the columns that a table lacks."""
    missing = sorted(set(needed) - set(present))
    similar = spelled_otherwise(missing, present)
    detail = f"its columns: {column_list(present)}"
    if similar:
        detail += f"\nit has {column_list(similar)}: names are compared with their case and every character"
    return UsageError(
        f"{file.name!r} lacks {', '.join(missing)}",
        detail=detail,
        hint="name the mapping that fits it with --mapping",
    )


def spelled_otherwise(missing: Collection[str], present: Collection[str]) -> list[str]:
    """Return the columns that differ from a missing one only in case, blanks, hyphens or underscores."""
    wanted = {plain_name(name) for name in missing}
    return [name for name in present if name and plain_name(name) in wanted]


def plain_name(name: str) -> str:
    """Return a column's name without what people vary: case, blanks, hyphens, dots and underscores."""
    return re.sub(r"[\s_.-]+", "", name).casefold()


def title_hint(line: int | None) -> str:
    """Return the hint for a header that is not in the first line; empty without such a line."""
    return f"the columns are named in line {line}: remove what stands above it" if line else ""


def _names(fields: Collection[str]) -> tuple[str, ...]:
    return tuple(name.strip("\ufeff").strip() for name in fields)


def _fields(line: str, dialect: dict[str, Any]) -> list[str]:
    try:
        return next(csv.reader([line], **dialect), [])
    except csv.Error:
        return []


def column_list(names: Collection[str]) -> str:
    """Return column names for a message, with card numbers masked: without a header they may be values."""
    return ", ".join(shown(name) or "(no name)" for name in list(names)[:60]) or "none"


def check_unique(file: Path, needed: Collection[str], present: Collection[str]) -> None:
    """Check that no needed column is there twice.

    Raises:
        DataError: the table has two columns of one name.
    """
    twice = sorted({name for name in needed if list(present).count(name) > 1})
    if twice:
        raise DataError(
            f"{file.name!r} has more than one column {', '.join(map(repr, twice))}",
            detail="which of them is meant cannot be told",
            hint="rename or remove one of them",
        )
