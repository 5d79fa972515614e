"""Read files of events or labels: one JSON object per line, as `fraudctl simulate` writes them.

Compressed files (gzip, bzip2, xz), UTF-16, a byte-order mark, blank lines, any line ends, a JSON array and
objects over several lines are read as well. For anything else the error names the kind of file.
"""

import bz2
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from fraudctl.config.file_kinds import binary_kind, open_regular_file, utf16_of
from fraudctl.errors import DataError, FraudctlError, UsageError
from fraudctl.events.card_numbers import mask

# A share of the lines of a file that may be left out before a command fails.
ALLOWED_REJECTED = 0.01
# Longer lines are cut: they exceed every possible `events.max_bytes`.
_LONGEST_LINE = 4_194_304
# A list, or objects over several lines, are held in memory as a whole.
_LONGEST_LIST = 1_000_000_000
_HEAD = 65_536
_LINES_SHOWN = 5
_EXAMPLE = 80
_COMPRESSED: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    "a gzip file": lambda stream: cast("IO[bytes]", gzip.GzipFile(fileobj=stream, mode="rb")),
    "a bzip2 file": lambda stream: cast("IO[bytes]", bz2.BZ2File(stream, "rb")),
    "an xz file": lambda stream: cast("IO[bytes]", lzma.LZMAFile(stream, "rb")),  # noqa: SIM115 - closed with the file
}
_HINT = "`fraudctl simulate --out EVENTS --labels LABELS` writes such files"
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


@dataclass(frozen=True)
class LeftOut:
    """Lines that were left out for one kind of reason: how many, the first line numbers, one example."""

    reason: str
    count: int
    lines: tuple[int, ...]
    example: str


@dataclass(frozen=True)
class FileReport:
    """The numbers of lines of a file that were read, taken and left out; blank lines do not count."""

    file: str
    holds: str
    read: int
    taken: int
    left_out: int
    reasons: tuple[LeftOut, ...]

    @property
    def share_left_out(self) -> float:
        """Return the share of the lines that was left out, 0 to 1."""
        return self.left_out / self.read if self.read else 0.0


@dataclass
class _Group:
    count: int = 0
    lines: list[int] = field(default_factory=list)
    example: str = ""


class ReportBuilder:
    """A counter of the lines of one file while they are read."""

    def __init__(self, file: Path, holds: str) -> None:
        """Start at zero; `holds` says what each line should be: "event" or "label"."""
        self._file = file
        self._holds = holds
        self._taken = 0
        self._groups: dict[str, _Group] = {}

    def take(self) -> None:
        """Count a line that was taken."""
        self._taken += 1

    def leave_out(self, line: int, reason: str, example: str) -> None:
        """Count a line that was left out; `reason` is a kind, and what differs goes into the example."""
        group = self._groups.setdefault(reason, _Group())
        group.count += 1
        if len(group.lines) < _LINES_SHOWN:
            group.lines.append(line)
        if group.count == 1:
            group.example = shown(example)

    def report(self) -> FileReport:
        """Return what was counted, the most frequent reason first."""
        left_out = sum(group.count for group in self._groups.values())
        reasons = sorted(self._groups.items(), key=lambda item: (-item[1].count, item[1].lines))
        return FileReport(
            str(self._file),
            self._holds,
            self._taken + left_out,
            self._taken,
            left_out,
            tuple(LeftOut(kind, one.count, tuple(one.lines), one.example) for kind, one in reasons),
        )


def shown(text: str) -> str:
    """Return a text for a message: on one line, cut, with card numbers masked."""
    return one_line(mask(text[: _EXAMPLE * 2]))


def one_line(text: str) -> str:
    """Return a text for a message: on one line, and cut."""
    plain = "".join(one if one.isprintable() else "?" for one in text)
    return plain if len(plain) <= _EXAMPLE else f"{plain[: _EXAMPLE - 1]}…"


def report_lines(report: FileReport) -> list[str]:
    """Return the report as text: a total, and a line for each reason."""
    share = f" ({100 * report.share_left_out:.2f} %)" if report.left_out else ""
    lines = [
        f"{report.file}: {report.read:,} lines read, {report.taken:,} taken as {report.holds}s,"
        f" {report.left_out:,} left out{share}"
    ]
    for one in report.reasons:
        numbers = ", ".join(f"{number:,}" for number in one.lines)
        more = ", …" if one.count > len(one.lines) else ""
        word = "line" if one.count == 1 else "lines"
        example = f"; for example {one.example}" if one.example else ""
        lines.append(f"  {one.count:,} left out: {one.reason} ({word} {numbers}{more}{example})")
    return lines


def check_some_taken(report: FileReport) -> None:
    """Raise an error for a file of which no line could be taken.

    Raises:
        DataError: it has no line that is what it should hold.
    """
    if report.taken:
        return
    if not report.read:
        raise DataError(
            f"{report.file} holds no {report.holds}s: it is empty",
            hint=f"name a file with one JSON object a line; {_HINT}",
        )
    first = min(line for one in report.reasons for line in one.lines)
    other = "labels" if report.holds == "event" else "events"
    swapped = report.reasons[0].reason == not_but(other)
    raise DataError(
        f"{report.file}:{first} is no {report.holds}, and no other line is one",
        detail="\n".join(report_lines(report)),
        hint=f"it is a file of {other}: give it to --{other}" if swapped else _HINT,
    )


def not_but(holds: str) -> str:
    """Return the reason for a line that belongs into the other file: `holds` is "events" or "labels"."""
    return "a label, not an event" if holds == "labels" else "an event, not a label"


def too_many_left_out(allowed: float, *reports: FileReport) -> FraudctlError | None:
    """Return the error of reports with more lines left out than is allowed; None where there is none.

    Args:
        allowed: the share of the lines of one file, 0 to 1.
        *reports: the reports on the files that were read.
    """
    worse = [report for report in reports if report.share_left_out > allowed]
    if not worse:
        return None
    return DataError(
        f"more than {100 * allowed:g} % of the lines were left out",
        detail="\n".join(line for report in worse for line in report_lines(report)),
        hint="correct the file; if these lines may go, allow them: `--allow-rejected "
        f"{_next_percent(max(report.share_left_out for report in worse))}%`",
    )


def _next_percent(share: float) -> int:
    return min(100, int(share * 100) + 1)


def lines_of(file: Path, holds: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not blank, without their ends, with their numbers from 1.

    An object over several lines, or of an array, has the number of the line in which it begins.

    Args:
        file: the file to read.
        holds: what each line should be, for messages: "event" or "label".

    Raises:
        UsageError: the file cannot be read.
        DataError: it is another kind of file, or damaged.
    """
    try:
        with open_regular_file(file, shell_pipe=True) as raw:
            yield from _lines(file, holds, raw)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        if isinstance(error, gzip.BadGzipFile):
            raise
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise UsageError(f"{file} cannot be read: {reason}", hint=_HINT) from error


def _lines(file: Path, holds: str, raw: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    stream, head = _with_head(raw)
    kind = binary_kind(head[:16])
    if kind in _COMPRESSED:
        stream, head = _unpacked(file, kind, stream)
        kind = binary_kind(head[:16])
    number = 0
    try:
        codec = utf16_of(head)
        if kind or (b"\x00" in head and not codec):
            raise _another(file, holds, kind or "a binary file")
        if codec:
            stream, head = _as_utf8(stream, codec)
        for number, line in _text_lines(file, holds, stream, head):
            yield number, line
    except UnicodeError as error:
        raise DataError(
            f"{file} is not valid UTF-16 after line {number:,}",
            detail=str(error),
            hint="write the file again; `iconv -f UTF-16 -t UTF-8` tells where it is damaged",
        ) from error
    except _BROKEN as error:
        raise DataError(
            f"{file} is a damaged compressed file: it cannot be unpacked after line {number:,}",
            detail=str(error) or type(error).__name__,
            hint="copy or pack the file again",
        ) from error


def _with_head(stream: IO[bytes]) -> tuple[IO[bytes], bytes]:
    return _buffered(iter(lambda: stream.read(_HEAD), b""))


class _Read(io.RawIOBase):
    """A source of bytes as a raw stream, so that it can be buffered and peeked into."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _buffered(chunks: Iterator[bytes]) -> tuple[IO[bytes], bytes]:
    """Return the chunks as a stream, and its first bytes."""
    stream = io.BufferedReader(_Read(chunks), _HEAD)
    return cast("IO[bytes]", stream), stream.peek(_HEAD)[:_HEAD]


def _unpacked(file: Path, kind: str, stream: IO[bytes]) -> tuple[IO[bytes], bytes]:
    opened = _COMPRESSED[kind](stream)
    try:
        return _buffered(iter(lambda: opened.read(_HEAD), b""))
    except (*_BROKEN, OSError) as error:
        raise DataError(
            f"{file} is a damaged compressed file: it begins like {kind}",
            detail=str(error) or type(error).__name__,
            hint="copy or pack the file again",
        ) from error


def _as_utf8(stream: IO[bytes], codec: str) -> tuple[IO[bytes], bytes]:
    text = io.TextIOWrapper(stream, encoding=codec, newline="")
    return _buffered(one.encode() for one in iter(lambda: text.read(_HEAD), ""))


def _text_lines(file: Path, holds: str, stream: IO[bytes], head: bytes) -> Iterator[tuple[int, bytes]]:
    if head.startswith(b"\xef\xbb\xbf"):
        stream.read(3)
        head = head[3:]
    begun = head.lstrip()
    first_line = begun.split(b"\n", 1)[0].strip()
    if begun[:1] == b"[" or first_line == b"{" or (b"\r" in head and b"\n" not in head):
        content = stream.read(_LONGEST_LIST + 1)
        if len(content) > _LONGEST_LIST:
            raise DataError(
                f"{file} is too long to be read as a whole: it has more than {_LONGEST_LIST:,} bytes",
                hint="write one object a line: `jq -c '.[]' FILE` does that for a list",
            )
        yield from _documents(file, holds, content)
        return
    if begun and not any(line.lstrip()[:1] == b"{" for line in begun.splitlines()):
        raise _another(file, holds, "a text in which no line is a JSON object" + _table_like(begun))
    number = 0
    while line := stream.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        line = line.strip(b" \t\r\n")
        if line:
            yield number, line


def _table_like(begun: bytes) -> str:
    """Return a remark if the text looks like a table: its first two lines have equally many separators."""
    first, second = (*begun.splitlines()[:2], b"", b"")[:2]
    for separator, name in ((b",", "commas"), (b";", "semicolons"), (b"\t", "tabs"), (b"|", "bars")):
        if first.count(separator) and first.count(separator) == second.count(separator):
            return f" (it looks like a table with {name})"
    return ""


def _another(file: Path, holds: str, kind: str) -> DataError:
    hint = f"name a file with one JSON object a line; {_HINT}"
    if kind.startswith(("a Zstandard", "a ZIP", "a 7z")):
        hint = f"unpack it first, and name the file with one JSON object a line that is in it; {_HINT}"
    if holds == "event" and kind.startswith(("a text in which", "a Parquet table")) and "table" in kind:
        hint = "`fraudctl produce --from-file FILE --mapping NAME` sends the rows of such a table"
    return DataError(f"{file} is {kind}, and not a file of {holds}s", hint=hint)


def _documents(file: Path, holds: str, content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the objects of an array, or objects that follow one another, as they are written.

    Raises:
        DataError: the text is not JSON from some line on.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}:{line} is not UTF-8",
            detail=f"byte 0x{content[error.start]:02x}",
            hint="save it as UTF-8",
        ) from error
    decoder = json.JSONDecoder(parse_int=len, parse_float=len)
    position, line, counted, in_array, done = 0, 1, 0, False, False
    while True:
        position = _after_blanks(text, position, commas=in_array)
        line, counted = line + text.count("\n", counted, position), position
        if position >= len(text):
            if in_array:
                raise _not_json(file, holds, line, "the list does not end")
            return
        if text[position] == "[" and not in_array and not done:
            in_array, position = True, position + 1
            continue
        if text[position] == "]" and in_array:
            in_array, done, position = False, True, position + 1
            continue
        try:
            _value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deeply"
            raise _not_json(file, holds, line, reason) from error
        yield line, text[position:end].encode("utf-8", "surrogatepass")
        position = end


def _after_blanks(text: str, position: int, *, commas: bool) -> int:
    blanks = " \t\r\n\x1e," if commas else " \t\r\n\x1e"
    while position < len(text) and text[position] in blanks:
        position += 1
    return position


def _not_json(file: Path, holds: str, line: int, reason: str) -> DataError:
    return DataError(
        f"{file}:{line:,} is not JSON: {reason[:1].lower()}{reason[1:]}",
        detail=f"a file of {holds}s may hold one object a line, objects one after the other, or one list",
        hint="write it again with one object a line: `jq -c '.[]' FILE` does that for a list",
    )
