"""Read a password from a file: one line of UTF-8, as editors and secret stores write it."""

import codecs
from pathlib import Path

from fraudctl.config.file_kinds import open_regular_file
from fraudctl.errors import ConfigError

# UTF-32 first: its little-endian byte-order mark begins with that of UTF-16.
_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# A larger file is no password file.
_MAX_BYTES = 4096
_AS_UTF8 = "save it as UTF-8: one line that holds the password and nothing else"


def read_password(file: Path, *, external: bool = False) -> str:
    """Return the password in `file`, without the line end and without a byte-order mark.

    Args:
        file: the password file.
        external: the database runs elsewhere, so `fraudctl up` does not make the file.

    Raises:
        ConfigError: the file cannot be read, is empty, or holds something else than one line of UTF-8.
    """
    try:
        with open_regular_file(file) as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        absent = "run `fraudctl up` first, or set postgres.password_file"
        raise ConfigError(
            f"the password file {file} cannot be read",
            detail=error.strerror or str(error),
            hint="correct postgres.password_file, or the file's permissions" if external else absent,
        ) from error
    if len(content) > _MAX_BYTES:
        raise _unusable(file, f"holds more than {_MAX_BYTES} bytes", "is it the right file?")
    password = _decoded(file, content).rstrip("\r\n")
    if not password.strip():
        raise _unusable(file, "is empty", "put the password there, on one line")
    if len(password.splitlines()) > 1:
        count = len(password.splitlines())
        raise _unusable(file, f"holds {count} lines", "leave one line, with the password and nothing else")
    if "\0" in password:
        raise _unusable(file, "holds a zero byte", _AS_UTF8)
    return password


def _decoded(file: Path, content: bytes) -> str:
    for mark, name in _OTHER_MARKS:
        if content.startswith(mark):
            raise _unusable(file, f"is {name}, not UTF-8", _AS_UTF8)
    if _is_unmarked_utf16(content):
        raise _unusable(file, "is UTF-16, not UTF-8", _AS_UTF8)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unusable(file, f"is not UTF-8 (byte {error.start + 1})", _AS_UTF8) from error


def _is_unmarked_utf16(content: bytes) -> bool:
    """Tell whether every letter has its zero byte; one zero byte alone is no encoding."""
    if len(content) < 4 or len(content) % 2:
        return False
    even, odd = content[::2], content[1::2]
    return (not any(even) and all(odd)) or (not any(odd) and all(even))


def _unusable(file: Path, why: str, hint: str) -> ConfigError:
    return ConfigError(f"the password file {file} {why}", hint=hint)
