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
    """Return the file of the database owner's password: named by the settings, or the stack's own."""
    if settings.password_file:
        return user_path(settings.password_file, "postgres.password_file")
    return paths.secrets / "postgres.password"


def writer_password_file(paths: StackPaths, settings: PostgresSettings) -> Path:
    """Return the file of the writer's password: named by the settings, or the stack's own."""
    if settings.writer_password_file:
        return user_path(settings.writer_password_file, "postgres.writer_password_file")
    return paths.secrets / _FILES[WRITER]


def role_passwords(paths: StackPaths, settings: PostgresSettings) -> dict[str, str]:
    """Return the password of each role; generate those that do not exist, never with a known default."""
    files = {role: paths.secrets / name for role, name in _FILES.items()}
    files[WRITER] = writer_password_file(paths, settings)
    return {role: password_in(file) for role, file in files.items()}


def password_in(file: Path) -> str:
    """Return the password in `file`; generate one there if the file does not exist.

    Raises:
        ConfigError: the file is there and holds no password.
    """
    if file.exists():
        return read_password(file)
    make_folder(file.parent, mode=0o700)
    password = secrets.token_urlsafe(24)
    write_whole(file, password + "\n")
    return password
