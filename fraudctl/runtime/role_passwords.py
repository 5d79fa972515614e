"""The passwords of the database's roles: generated once per stack, each in a file of mode 0600."""

import secrets
from pathlib import Path

from fraudctl.config.endpoints import MIGRATOR, READER, WRITER
from fraudctl.config.model import PostgresSettings
from fraudctl.config.password_file import read_password
from fraudctl.config.paths import StackPaths, user_path
from fraudctl.runtime.files import make_folder, write_whole

_FILES = {MIGRATOR: "migrator.password", WRITER: "writer.password", READER: "reader.password"}


def password_file(paths: StackPaths, settings: PostgresSettings) -> Path:
    """Return the owner's file: the one that the settings name, or the stack's own."""
    if settings.password_file:
        return user_path(settings.password_file, "postgres.password_file")
    return paths.secrets / "postgres.password"


def writer_password_file(paths: StackPaths, settings: PostgresSettings) -> Path:
    """The file that the settings name, or the stack's own."""
    if settings.writer_password_file:
        return user_path(settings.writer_password_file, "postgres.writer_password_file")
    return paths.secrets / _FILES[WRITER]


def role_passwords(paths: StackPaths, settings: PostgresSettings) -> dict[str, str]:
    """Role to password; what is not there yet is generated. Never a known default."""
    files = {role: paths.secrets / name for role, name in _FILES.items()}
    files[WRITER] = writer_password_file(paths, settings)
    return {role: password_in(file) for role, file in files.items()}


def password_in(file: Path) -> str:
    """Return the password that is there, or put a new one there and return it.

    Raises:
        ConfigError: the file is there and holds no password.
    """
    if file.exists():
        return read_password(file)
    make_folder(file.parent, mode=0o700)
    password = secrets.token_urlsafe(24)
    write_whole(file, password + "\n")
    return password
