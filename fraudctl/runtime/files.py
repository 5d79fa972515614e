"""Files that are whole or absent, folders with a fixed mode, and locks between processes."""

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fraudctl.clock import Deadline, StopFlag
from fraudctl.errors import NotReadyError, RefusedError

_LOCK_POLL_SECONDS = 0.1
# A reader that is started together with its writer opens the pipe a moment later.
_READER_SECONDS = 3.0


_CHOOSES_FOLDERS = "--home (or FRAUDCTL_CACHE_DIR for downloads)"


def make_folder(folder: Path, mode: int = 0o755, *, option: str = _CHOOSES_FOLDERS) -> Path:
    """Create `folder` and its missing parents, all with `mode` whatever the umask is, and return it.

    Args:
        folder: the folder to create.
        mode: permission bits of each folder that is created.
        option: how the user chooses the folder, for the hint.

    Raises:
        RefusedError: it cannot be created.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            path.chmod(mode)
    except OSError as error:
        raise RefusedError(
            f"the folder {folder} cannot be created",
            detail=error.strerror or str(error),
            hint=f"choose another place with {option}",
        ) from error
    return folder


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Let an error of the system name `file`, as the user does.

    A write that fails knows no name, and a hidden file that will replace this one has a name of its own.
    """
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(file), None
        raise


def open_special(file: Path) -> BinaryIO:
    """Open a device or a pipe that is there, for writing.

    Raises:
        RefusedError: it is a pipe that nobody reads: opening it would wait for a reader for ever.
        OSError: it cannot be opened.
    """
    deadline = Deadline(_READER_SECONDS)
    while True:
        try:
            handle = os.open(file, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(file.stat().st_mode):
                raise
            if deadline.expired:
                raise RefusedError(
                    f"nobody reads the pipe {file}", hint="start its reader first, such as `cat PIPE &`"
                ) from error
            time.sleep(_LOCK_POLL_SECONDS)
        else:
            os.set_blocking(handle, True)
            return os.fdopen(handle, "wb")


def write_whole(file: Path, text: str, mode: int = 0o600) -> None:
    """Replace `file` in one step: a reader sees the old text or the new one, never a part."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(file)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(file)  # the error of a write to a full disk names no file
        Path(name).unlink(missing_ok=True)
        raise


def write_own_sum(file: Path) -> None:
    """Write the SHA-256 of a file beside it, once the file is safely on the disk."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())
    write_whole(_sum_file(file), digest + "\n", mode=0o644)


def has_own_sum(file: Path) -> bool:
    """Tell whether a file exists and has the SHA-256 that was written beside it."""
    try:
        expected = _sum_file(file).read_text(encoding="ascii").strip()
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == expected
    except (OSError, UnicodeDecodeError):
        return False


def _sum_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


@contextmanager
def locked(
    file: Path,
    deadline: Deadline,
    *,
    purpose: str,
    stop: StopFlag | None = None,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold an exclusive lock on `file`; a second process waits for it, up to the deadline.

    The holder may remove the file (and its folder): a process that waited opens it again. `purpose` completes
    "another fraudctl has been …" in the error. `on_wait` is called once, if the lock is taken.

    Raises:
        NotReadyError: another process held the lock until the deadline.
    """
    handle = _take(file, deadline, purpose, stop or StopFlag(), on_wait)
    try:
        yield
    finally:
        os.close(handle)


def is_locked(file: Path) -> bool:
    """Tell whether another process holds the lock on `file`.

    The check itself holds a shared lock for a moment; a process that wants the file meanwhile tries again.
    """
    try:
        handle = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _take(file: Path, deadline: Deadline, purpose: str, stop: StopFlag, on_wait: Callable[[], None]) -> int:
    told = False
    while True:
        make_folder(file.parent)
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file.stat().st_ino == os.fstat(handle).st_ino:
                return handle
            os.close(handle)
        except FileNotFoundError:
            os.close(handle)
        except BlockingIOError as error:
            os.close(handle)
            if deadline.expired:
                raise NotReadyError(
                    f"another fraudctl has been {purpose} for {deadline.seconds:g} s",
                    detail=f"it holds the lock {file}",
                    hint="wait for it to finish, then try again",
                ) from error
            if not told:
                told = True
                on_wait()
            if stop.wait(_LOCK_POLL_SECONDS):
                raise KeyboardInterrupt from error


def tail(file: Path, lines: int) -> list[str]:
    """Return the last `lines` lines of a text file; none if there is no such file."""
    if not file.is_file():
        return []
    with file.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        block = b""
        while end > 0 and block.count(b"\n") <= lines:
            start = max(0, end - 65_536)
            stream.seek(start)
            block = stream.read(end - start) + block
            end = start
    return block.decode("utf-8", errors="replace").splitlines()[-lines:] if lines > 0 else []


def free_beside(folder: Path, what: str) -> Path:
    """Return the first of `FOLDER.WHAT-1`, `FOLDER.WHAT-2`, … that does not exist yet."""
    number = 1
    while (name := folder.with_name(f"{folder.name}.{what}-{number}")).exists():
        number += 1
    return name
