"""What is no regular file is named as what it is, before opening it could wait for ever."""

import os
import socket
from pathlib import Path

import pytest

from fraudctl.config.file_kinds import check_regular_file, open_regular_file, special_kind


@pytest.fixture
def shell_pipe() -> Path:
    """Return the path of an open pipe, as `<(printf text)` gives it."""
    reading, writing = os.pipe()
    os.write(writing, b"text")
    os.close(writing)
    return Path(f"/dev/fd/{reading}")


def test_a_regular_file_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"text")
    (tmp_path / "link").symlink_to(file)
    for path in (file, tmp_path / "link"):
        assert special_kind(path) == ""
        with open_regular_file(path) as stream:
            assert stream.read() == b"text"


def test_what_is_no_regular_file_is_refused_by_its_kind(tmp_path: Path) -> None:
    fifo, link, listening = tmp_path / "fifo", tmp_path / "link", tmp_path / "socket"
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        for path, kind in (
            (tmp_path, "a folder"),
            (fifo, "a pipe"),
            (link, "a pipe"),
            (listening, "a socket"),
            (Path("/dev/null"), "a device"),
        ):
            with pytest.raises(OSError, match=f"it is {kind}, and not a file"):
                open_regular_file(path, shell_pipe=True)


def test_what_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    for name in ("missing", "broken"):
        with pytest.raises(FileNotFoundError):
            check_regular_file(tmp_path / name)


def test_a_pipe_of_the_shell_is_taken_where_it_is_read_once(shell_pipe: Path) -> None:
    with pytest.raises(OSError, match="it is a pipe"):
        check_regular_file(shell_pipe)
    with open_regular_file(shell_pipe, shell_pipe=True) as stream:
        assert stream.read() == b"text"
