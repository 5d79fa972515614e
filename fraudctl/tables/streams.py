"""Files as lines of text: unpacked by their first bytes, decoded strictly, damage located by line."""

import bz2
import codecs
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

from fraudctl.errors import DataError

_CHUNK_BYTES = 1 << 16
# A longer line is not a row of a table, and would have to be held in memory.
LONGEST_LINE = 1 << 24
PARQUET_MARK = b"PAR1"
# Tar archives have one of these marks at that offset.
_TAR_MARKS, _TAR_OFFSET = (b"ustar\x00", b"ustar  \x00"), 257
# What a text may hold besides characters that are seen: CP/M's end mark, form feeds, colours of a terminal.
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x0b\x1a\x1b")
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_FOREIGN = {
    b"\x28\xb5\x2f\xfd": ("packed with zstd", "unpack it first: `zstd -d FILE`"),
    b"\x04\x22\x4d\x18": ("packed with lz4", "unpack it first: `lz4 -d FILE`"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it first: `7z x FILE`"),
    b"Rar!": ("a RAR archive", "unpack it first: `unrar x FILE`"),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "save the sheet as CSV in UTF-8, and give that file"),
    b"Obj\x01": ("an Avro file", "save the table as CSV or Parquet, and give that file"),
    b"ORC": ("an ORC file", "save the table as CSV or Parquet, and give that file"),
    b"ARROW1": ("an Arrow file", "save the table as CSV or Parquet, and give that file"),
    b"SQLite format 3": ("an SQLite database", "save the table as CSV, and give that file"),
    b"%PDF": ("a PDF document", "save the table as CSV, and give that file"),
}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", **dict.fromkeys(_ZIP_MARKS, "zip")}
_MARK_BYTES = 4
# CP/M's and DOS's mark of the end of a text; some programs fill the last block with it.
_END_MARK = "\x1a"
# Errors of the unpacking libraries: damage, a wrong checksum, an early end, a password.
_DAMAGE = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
    ValueError,
)
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)")


class ByteStream(Protocol):
    """A source of bytes, packed or not."""

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes as soon as there are some, and none at the end."""


def first_bytes(file: Path, count: int = 16) -> bytes:
    """Return the first bytes of a file, as they are on the disk."""
    with file.open("rb") as stream:
        return stream.read(count)


def is_packed(begin: bytes) -> bool:
    """Tell whether a file that begins so is packed, or of another known kind than text and Parquet."""
    return begin.startswith((*_PACKED, *_FOREIGN))


def is_tar(begin: bytes) -> bool:
    """Tell whether a file that begins so is a tar archive."""
    return begin[_TAR_OFFSET:].startswith(_TAR_MARKS)


def _archive(file: Path, what: str) -> DataError:
    return DataError(
        f"{file} is {what}, and one table is read at a time",
        hint=f"unpack it, and give one of its files: `tar -xf {file.name}`",
    )


def _cause(error: BaseException) -> str:
    """Return in plain words why a packed file cannot be read on."""
    text = str(error)
    if isinstance(error, EOFError):
        return "it ends too early: a part of it is missing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if "CRC" in text or "length of data" in text:
        return "its checksum is not that of its content"
    if isinstance(error, gzip.BadGzipFile):
        return "bytes follow that are not gzip"
    if "encrypted" in text or "password" in text:
        return "it needs a password"
    if isinstance(error, NotImplementedError):
        return "it is packed with a method that is not known here"
    return "its bytes are not what packed data looks like"


@contextmanager
def unpacked(file: Path) -> Iterator[ByteStream]:
    """Open a file's content; gzip, bzip2, xz and a zip of one file are unpacked while it is read.

    Raises:
        DataError: the file is not a table of text; the hint says what to do.
    """
    begin = first_bytes(file)
    if is_tar(first_bytes(file, _TAR_OFFSET + 8)):
        raise _archive(file, "a tar archive")
    for mark, (what, hint) in _FOREIGN.items():
        if begin.startswith(mark):
            raise DataError(f"{file} is {what}, not a table of text or Parquet", hint=hint)
    if begin.startswith(b"\x1f\x8b"):
        with gzip.open(file) as stream:
            yield stream
    elif begin.startswith(b"BZh"):
        with bz2.open(file) as stream:
            yield stream
    elif begin.startswith(b"\xfd7zXZ"):
        with lzma.open(file) as stream:
            yield stream
    elif begin.startswith(_ZIP_MARKS):
        with _the_one_file(file) as stream:
            yield stream
    else:
        with file.open("rb") as stream:
            yield stream


@contextmanager
def _the_one_file(file: Path) -> Iterator[ByteStream]:
    try:
        archive = zipfile.ZipFile(file)
    except _DAMAGE as error:
        raise DataError(
            f"{file} is a damaged zip archive",
            detail=_cause(error),
            hint="get the file again (compare its size or checksum)",
        ) from error
    with archive:
        names = [
            name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")
        ]
        if "[Content_Types].xml" in names:
            raise DataError(
                f"{file} is an Excel workbook, not a table of text or Parquet",
                hint="save the sheet as CSV in UTF-8, and give that file",
            )
        if len(names) != 1:
            raise DataError(
                f"{file} is a zip archive of {len(names)} files, and one table is read at a time",
                detail=", ".join(names[:10]),
                hint="unpack it, and give one of its files",
            )
        try:
            stream = archive.open(names[0])
        except _DAMAGE as error:
            raise DataError(
                f"{file} cannot be unpacked", detail=_cause(error), hint="unpack it first: `unzip FILE`"
            ) from error
        with stream:
            yield cast(ByteStream, stream)


def _whole_lines(text: str, *, ended: bool) -> tuple[str, str]:
    """Split text after its last whole line.

    Unless the text has `ended`, a final carriage return is no line end yet: a line feed may follow it.
    """
    certain = len(text) - (text.endswith("\r") and not ended)
    end = max(text.rfind("\n", 0, certain), text.rfind("\r", 0, certain)) + 1
    return text[:end], text[end:]


def _may_be_text(begin: bytes) -> bool:
    """Tell whether bytes are text apart from NUL bytes; a few other controls at most are in a text."""
    rest = begin.replace(b"\x00", b"")
    controls = sum(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in rest)
    return controls * 50 <= len(rest)


class Lines:
    """The lines of an opened file with their ends, numbered from 1; `taken` counts them.

    A byte that is not text, or damage of the packing, raises a `DataError` that names its line, after every
    whole line before it has been yielded.
    """

    def __init__(self, file: Path, stream: ByteStream, encoding: str | None) -> None:
        """Read the beginning of a stream and determine its encoding.

        Args:
            file: the file's name, for messages.
            stream: its content, unpacked.
            encoding: the encoding that the user gave; None to recognise it.

        Raises:
            DataError: the content is damaged or not text, or it contradicts the encoding.
        """
        self._file = file
        self._stream = stream
        self.taken = 0
        self._begin = self._read_first()
        self.encoding, skip = self._encoding(encoding)
        self._begin = self._begin[skip:]

    def __iter__(self) -> Iterator[str]:
        """Yield the lines, and count them in `taken`."""
        for line in self._lines():
            self.taken += 1
            yield line

    def _read(self) -> bytes:
        try:
            # Not `read`, which would lose what comes before the damage.
            return self._stream.read1(_CHUNK_BYTES)
        except _DAMAGE as error:
            raise DataError(
                f"{self._file} is damaged: it cannot be read beyond line {self.taken:,}",
                detail=_cause(error),
                hint="get the file again (compare its size or checksum), and go on with --resume",
            ) from error

    def _read_first(self) -> bytes:
        """Return enough bytes to recognise an encoding by its byte order mark."""
        begin = b""
        while len(begin) < _MARK_BYTES and (more := self._read()):
            begin += more
        return begin

    def _encoding(self, told: str | None) -> tuple[str, int]:
        """Return the encoding to decode with, and the length of the byte order mark."""
        begin = self._begin
        self._check_unpacked(begin)
        for mark, encoding in _MARKS:
            if begin.startswith(mark):
                if told and not encoding.startswith(told.removesuffix("-sig")):
                    raise DataError(
                        f"{self._file} begins with the mark of {encoding}, and was said to be {told}",
                        hint="leave the encoding out: a file with such a mark needs none",
                    )
                return encoding, len(mark)
        if told:
            return {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}.get(told, told), 0
        even, odd = begin[0:4096:2], begin[1:4096:2]
        for own, other, encoding in ((even, odd, "utf-16-be"), (odd, even, "utf-16-le")):
            if own.count(0) > 0.8 * len(own) > 0 and other.count(0) < 0.2 * len(other):
                return encoding, 0
        if b"\x00" in begin[:4096] and not _may_be_text(begin[:4096]):
            raise DataError(
                f"{self._file} is neither a table of text nor Parquet",
                detail="it holds bytes that no text has",
                hint="give CSV (also packed with gzip, bzip2, xz or zip) or Parquet",
            )
        return "utf-8", 0

    def _check_unpacked(self, begin: bytes) -> None:
        """Check that unpacking has given a table, and no other packed file.

        Raises:
            DataError: it is Parquet, an archive, or packed twice.
        """
        if begin.startswith(PARQUET_MARK):
            raise DataError(f"{self._file} is packed Parquet", hint="unpack it, and give the Parquet file")
        if is_tar(begin):
            raise _archive(self._file, "a packed tar archive")
        for mark, packer in _PACKED.items():
            if begin.startswith(mark):
                raise DataError(
                    f"{self._file} is packed twice, the second time with {packer}",
                    hint="unpack it once, and give the file that comes out",
                )

    def _check_no_nul(self, line: str) -> None:
        """Check that a line has no NUL characters, with which a crash fills a file.

        Raises:
            DataError: the line has some.
        """
        if "\x00" in line:
            raise DataError(
                f"{self._file}: line {self.taken + 1:,} holds NUL bytes, which no text has",
                detail="a file may have them after a crash, or if its end was reserved and never written",
                hint="get the file again, or take them out with `tr -d '\\000' < FILE > NEW`; a run that was "
                "begun goes on with --resume",
            )

    def _lines(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        rest, chunk, damage = "", self._begin, None
        while True:
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                text, damage = self._before(error), error
            rest += text
            ended = not chunk or damage is not None
            # Only whole lines are searched: a search without a match takes quadratic time.
            whole, rest = _whole_lines(rest, ended=damage is not None)
            for found in _LINES.finditer(whole):
                self._check_no_nul(found[0])
                yield found[0]
            if len(rest) > LONGEST_LINE:
                self._check_no_nul(rest)
                raise DataError(
                    f"{self._file}: line {self.taken + 1:,} has more than {LONGEST_LINE:,} characters",
                    hint="this is not how a table's rows end; save it as CSV with one row a line",
                )
            if damage is not None:
                raise self._not_text(damage) from damage
            if ended:
                rest = rest.rstrip(_END_MARK)
                self._check_no_nul(rest)
                if rest:
                    yield rest
                return
            chunk = self._read()

    def _before(self, error: UnicodeError) -> str:
        """Return the text before a byte that cannot be decoded."""
        if not isinstance(error, UnicodeDecodeError):
            return ""
        return error.object[: error.start].decode(self.encoding, errors="ignore")

    def _not_text(self, error: UnicodeError) -> DataError:
        bad = ""
        if isinstance(error, UnicodeDecodeError):
            bad = ": byte " + " ".join(f"0x{byte:02x}" for byte in error.object[error.start : error.end][:4])
        return DataError(
            f"{self._file}: line {self.taken + 1:,} is not text in {self.encoding}{bad}",
            detail=f"lines before it that can be read: {self.taken:,}",
            hint="say what it is with --encoding (latin-1, cp1252), or correct the line, "
            "and go on with --resume",
        )
