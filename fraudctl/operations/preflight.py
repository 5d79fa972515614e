"""Checks of this machine before anything is started, for `up`, `detect` and `doctor`.

Each check returns its answer in one line, or raises an error with a hint. `up` and `detect` run the checks
before they start a process; `doctor` shows every answer.
"""

import os
import pwd
import resource
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fraudctl import environment
from fraudctl.config.model import Settings
from fraudctl.config.password_file import read_password
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.runtime import stack
from fraudctl.runtime.jvm.proxy import proxy_flags

# A broker keeps some files open for each partition, Spark one for each of its 300 jars.
MINIMUM_OPEN_FILES = 1024
# A new stack needs the first; a detector only writes its checkpoint and its log.
STACK_FREE_BYTES = 500_000_000
DETECTOR_FREE_BYTES = 50_000_000
FreeBytes = Callable[[Path], int]


@dataclass(frozen=True)
class StartupCheck:
    """A check of this machine; `run` returns the answer in one line, or raises an error."""

    name: str
    run: Callable[[], str]


def free_bytes(folder: Path) -> int:
    """Return how many bytes an ordinary user may still write on the file system that holds `folder`."""
    return shutil.disk_usage(folder).free


def for_detector(
    settings: Settings, paths: StackPaths, environ: Mapping[str, str]
) -> tuple[StartupCheck, ...]:
    """Return the checks to run before a detector starts."""
    here = settings.spark.submit == "local"
    named = [StartupCheck("user", lambda: check_user("Hadoop, which Spark runs on,"))] if here else []
    cache = StartupCheck("cache", lambda: check_cache(paths.cache))
    return (*named, *_shared(settings, paths, environ, DETECTOR_FREE_BYTES, free_bytes), cache)


def for_stack(
    settings: Settings,
    paths: StackPaths,
    environ: Mapping[str, str],
    profile: stack.Profile,
    room: FreeBytes = free_bytes,
) -> tuple[StartupCheck, ...]:
    """Return the checks to run before the services of a stack start; `room` returns the free bytes."""
    here = profile == "local"
    who = "PostgreSQL's initdb and Hadoop (for the detector)"
    named = [StartupCheck("user", lambda: check_user(who))] if here else []
    return (*named, *_shared(settings, paths, environ, STACK_FREE_BYTES, room))


def run_all(checks: Iterable[StartupCheck]) -> None:
    """Run the checks in order, up to the first that fails.

    Raises:
        RefusedError: this machine lacks something that is needed.
        ConfigError: a password file cannot be used.
    """
    for check in checks:
        check.run()


def check_user(who: str) -> str:
    """Make sure that this user has a name, and return it; `who` are the programs that need one.

    Raises:
        RefusedError: there is no entry for the user's number.
    """
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError as error:
        raise RefusedError(
            f"user {number} has no name, and {who} need{'s' if who.endswith(',') else ''} one",
            detail="there is no entry for this number in /etc/passwd",
            hint="add one, or let nss_wrapper give a name (LD_PRELOAD and NSS_WRAPPER_PASSWD)",
        ) from error


def check_open_files() -> str:
    """Make sure that enough files may be open.

    Only the hard limit counts: Java raises its own limit up to it.

    Raises:
        RefusedError: the hard limit is too low.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        return "no limit"
    if hard < MINIMUM_OPEN_FILES:
        raise RefusedError(
            f"at most {hard} files may be open, and Kafka and Spark need {MINIMUM_OPEN_FILES}",
            hint="raise the limit: `ulimit -Hn 65536` as root, LimitNOFILE= of a systemd unit, or --ulimit "
            "nofile= of a container",
        )
    return f"{hard} may be open"


def check_folder(folder: Path, needed: int, room: FreeBytes, option: str) -> str:
    """Make sure that `folder`, or the folder that it will be created in, is writable and has free space.

    Args:
        folder: the folder to check; it need not exist.
        needed: the bytes that must be free.
        room: returns the free bytes of a folder's file system.
        option: the command line option that chooses another folder, for the hint.

    Raises:
        RefusedError: it is not writable, or there is too little free space.
    """
    present = _nearest(folder)
    if not present.is_dir():
        raise RefusedError(
            f"the folder {folder} cannot be created",
            detail=f"{present} is a file",
            hint=f"choose another place with {option}",
        )
    if not os.access(present, os.W_OK | os.X_OK):
        raise RefusedError(
            f"the folder {folder} cannot be {'written to' if present == folder else 'created'}",
            detail=f"user {os.geteuid()} may not write to {present}",
            hint=f"choose another place with {option}, or give {present} to this user",
        )
    free = room(present)
    if free < needed:
        raise RefusedError(
            f"there is too little room for a stack: {free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB needed",
            detail=f"on the file system of {folder}",
            hint=f"make room, or choose another place with {option}",
        )
    found = os.statvfs(present)
    if found.f_files and not found.f_favail:
        raise RefusedError(
            f"no more files can be made on the file system of {folder}",
            detail="it has no inode left",
            hint=f"remove files there, or choose another place with {option}",
        )
    return f"{free / 1e6:.0f} MB free"


def check_temporary(environ: Mapping[str, str]) -> str:
    """Make sure that TMPDIR, if it is set, names a folder that this user may write to.

    Raises:
        RefusedError: it does not.
    """
    named = environ.get("TMPDIR")
    if not named:
        return "the system's"
    folder = Path(named)
    if not os.path.lexists(folder):
        reason = "it is not there"
    elif not folder.is_dir():
        reason = "it is no folder"
    elif not os.access(folder, os.W_OK | os.X_OK):
        reason = f"user {os.geteuid()} may not write to it"
    else:
        return named
    raise RefusedError(
        f"the folder for temporary files, {named}, cannot be used",
        detail=f"{reason}; TMPDIR names it",
        hint="unset TMPDIR, or let it name a folder that this user may write to",
    )


def check_cache(folder: Path) -> str:
    """Make sure that the folder of downloads can be read, or that it can be created.

    A read-only folder will do: it may hold everything that is needed.

    Raises:
        RefusedError: the folder can be neither read nor created.
    """
    present = _nearest(folder)
    needed = os.R_OK if present == folder else os.W_OK
    if not os.access(present, needed | os.X_OK):
        raise RefusedError(
            f"the cache {folder} cannot be {'read' if present == folder else 'created'}",
            detail=f"user {os.geteuid()} may not {'read' if present == folder else 'write to'} {present}",
            hint="set FRAUDCTL_CACHE_DIR to another folder",
        )
    return str(folder)


def _nearest(folder: Path) -> Path:
    """Return `folder`, or its nearest parent that exists and that this user can see."""
    for path in (folder, *folder.parents):
        try:
            if path.exists():
                return path
        except PermissionError:
            continue  # a parent is not accessible; it is found further up
    return Path("/")


def check_passwords(settings: Settings, paths: StackPaths) -> str:
    """Make sure that each password file that exists, or that the settings name, holds a password.

    Raises:
        ConfigError: a file holds no password.
    """
    profile = stack.choose_profile(settings, paths)[0]
    found = stack.addresses(settings, paths, profile)
    external = found.postgres.external
    files = [
        found.postgres.password_file,
        *([found.writer_password_file] if found.writer_password_file else []),
    ]
    for file in files:
        if external or file.exists():  # `up` creates the stack's own files
            read_password(file, external=external)
    return (
        "readable" if external or any(file.exists() for file in files) else "made by the first `fraudctl up`"
    )


def _shared(
    settings: Settings, paths: StackPaths, environ: Mapping[str, str], needed: int, room: FreeBytes
) -> tuple[StartupCheck, ...]:
    return (
        StartupCheck("open files", check_open_files),
        StartupCheck("home", lambda: check_folder(paths.root, needed, room, "--home")),
        StartupCheck("temporary", lambda: check_temporary(environ)),
        StartupCheck("proxy", lambda: _proxies(environ)),
        StartupCheck("passwords", lambda: check_passwords(settings, paths)),
        StartupCheck("environment", lambda: _left_out(settings, environ)),
    )


def _proxies(environ: Mapping[str, str]) -> str:
    flags = proxy_flags(environ)
    return "downloads go through the proxy" if flags else "none"


def _left_out(settings: Settings, environ: Mapping[str, str]) -> str:
    names = environment.dropped(environ, yarn=settings.spark.master == "yarn")
    return f"not passed on: {', '.join(names)}" if names else "nothing that would be left out"
