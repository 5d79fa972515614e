"""Recognise kinds of files that users give by mistake: by the type of the path, or by the first bytes."""

import errno
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

# What to tell of a name that is an address.
ADDRESS = "it is an address, and no file of this machine; fetch it into a file, and name that"
# `Path` makes one slash of the two in https://.
_ADDRESS = re.compile(r"(https?|ftp|s3[an]?|gs|hdfs|abfss?|file):/", re.IGNORECASE)

# What may stand at a path besides a regular file.
_SPECIAL: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# If one beginning starts with another, the longer one comes first.
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xfe\x00\x00", "a text in UTF-32"),
    (b"\x00\x00\xfe\xff", "a text in UTF-32"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"PK\x03\x04", "a ZIP archive (such as a workbook of a spreadsheet)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"PAR1", "a Parquet table"),
    (b"ARROW1", "an Arrow table"),
    (b"FEA1", "a Feather table"),
    (b"ORC", "an ORC table"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old workbook or document of an office suite"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x7fELF", "a program"),
    (b"\x89HDF", "an HDF5 file"),
)


def binary_kind(head: bytes) -> str:
    """Return the kind of a file with its article ("a gzip file"), or "" if it may be a text.

    Args:
        head: the first bytes of the file: at least 16, or all if it has fewer.
    """
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    return ""


def utf16_of(head: bytes) -> str:
    """Return the codec of a UTF-16 text, or "" if it is none.

    UTF-16 is recognised by its byte-order mark, or by the NUL byte beside each of the first two letters.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if len(head) >= 4 and head[0] and not head[1] and head[2] and not head[3]:
        return "utf-16-le"
    if len(head) >= 4 and not head[0] and head[1] and not head[2] and head[3]:
        return "utf-16-be"
    return ""


def check_regular_file(file: Path, *, shell_pipe: bool = False) -> None:
    """Check that a path names a regular file: opening a pipe that nobody writes to waits for ever.

    Args:
        file: the path to check.
        shell_pipe: take the pipe that a shell has opened, as in `cat a | … /dev/stdin` and `<(cat a)`; it can
            be read once.

    Raises:
        OSError: there is no such file, or it is a folder, pipe, socket or device; `strerror` says which.
    """
    kind = special_kind(file)
    if kind and not (shell_pipe and _is_shell_pipe(file)):
        raise OSError(errno.EINVAL, f"it is {kind}, and not a file", str(file))


def open_regular_file(file: Path, *, shell_pipe: bool = False) -> BinaryIO:
    """Open a regular file for reading its bytes; see `check_regular_file`.

    Raises:
        OSError: it is not there, may not be read, or is no regular file.
    """
    check_regular_file(file, shell_pipe=shell_pipe)
    return file.open("rb")


def is_address(name: str) -> bool:
    """Tell whether a name is that of something elsewhere, such as https://host/file or s3://bucket/file."""
    return _ADDRESS.match(name) is not None


def shown_name(file: Path) -> str:
    """Return the name of a file for a message; that of an address with both of its slashes."""
    name = str(file)
    return re.sub(r":/(?!/)", "://", name, count=1) if is_address(name) else name


def special_kind(file: Path) -> str:
    """Return what stands at a path, such as "a folder" or "a pipe"; empty for a regular file.

    Raises:
        OSError: nothing stands there, or the path cannot be followed.
    """
    mode = file.stat().st_mode
    return next((kind for is_kind, kind in _SPECIAL if is_kind(mode)), "")


def _is_shell_pipe(file: Path) -> bool:
    """Tell whether the path is one of an open pipe without a name, which can be opened without a writer."""
    return Path(os.path.realpath(file)).name.startswith("pipe:[")
