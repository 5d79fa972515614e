"""The stack's own PostgreSQL: the wheel's binaries as a child process, on 127.0.0.1 only, no socket."""

import os
import shutil
import signal
import time
from pathlib import Path

import psutil

from fraudctl import environment
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.model import PostgresSettings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import NotReadyError, RefusedError
from fraudctl.runtime.files import make_folder, tail, write_whole
from fraudctl.runtime.local.postgres_wheel import Server, server_for
from fraudctl.runtime.ports import LOOPBACK
from fraudctl.runtime.process.run import LOG_LINES, run_to_end
from fraudctl.runtime.process.supervise import ProcessRecord, known, spawn
from fraudctl.runtime.role_passwords import password_file, password_in

NAME = "postgres"
# INT is PostgreSQL's fast shutdown: clients are cut off, everything is written. TERM would wait for clients.
STOP_SIGNAL = signal.SIGINT
_POLL_SECONDS = 0.1


def record_file(paths: StackPaths) -> Path:
    """Return the file of the server's process record."""
    return paths.run / "postgres.process.json"


def record(paths: StackPaths) -> ProcessRecord | None:
    """Return the record of the running or last server; a running one is found without its file."""
    data = data_folder(paths)
    owner = data.stat().st_uid if data.is_dir() else None
    return known(record_file(paths), NAME, ("-D", str(data)), log_file(paths), owner)


def log_file(paths: StackPaths) -> Path:
    """Return the server's log."""
    return paths.logs / "postgres.log"


def data_folder(paths: StackPaths) -> Path:
    """Return the folder of the database cluster."""
    return paths.data / "postgres"


def prepare(
    paths: StackPaths, settings: PostgresSettings, deadline: Deadline, stop: StopFlag | None = None
) -> bool:
    """Make the database cluster and its password, once, and return True if it was new.

    Raises:
        RefusedError: its folder cannot be entered by the user it must run as, or its password is lost.
        NotReadyError: initdb failed or took too long.
    """
    server = server_for(paths, data_folder(paths))
    secret = password_file(paths, settings)
    if data_folder(paths).is_dir():
        if not secret.is_file():
            raise RefusedError(
                f"the database's password file {secret} is gone, and the database is still there",
                hint="restore the file, or start anew with `fraudctl down --volumes`, which removes all data",
            )
        return False
    password = password_in(secret)
    # Made in another folder and then renamed: an interrupted initdb is never taken for a whole one.
    unfinished = make_folder(paths.data) / "postgres.new"
    handed_over = paths.data / "postgres.password.new"
    try:
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        write_whole(handed_over, password)
        if server.user is not None:
            os.chown(unfinished, server.user, server.group)
            os.chown(handed_over, server.user, server.group)
        _initdb(server, settings, unfinished, handed_over, log_file(paths), deadline, stop)
    finally:
        handed_over.unlink(missing_ok=True)
    unfinished.rename(data_folder(paths))
    return True


def start(paths: StackPaths, deadline: Deadline, *, port: int) -> ProcessRecord:
    """Start the server in the background; it is ready when a client gets an answer."""
    data = data_folder(paths)
    server = server_for(paths, data)
    _forget_dead_postmaster(data, deadline)
    options = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        # A socket's path may have 107 characters at most; a stack's folder may have more.
        "unix_socket_directories": "",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "password_encryption": "scram-sha-256",
        "shared_buffers": "64MB",
        "max_connections": "50",
        "max_wal_size": "512MB",
        "cluster_name": f"fraudctl-{paths.stack}",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] ",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return spawn(
        NAME,
        [str(server.program("postgres")), "-D", str(data), *settings],
        env=_environment(),
        log=log_file(paths),
        record=record_file(paths),
        cwd=data,
        user=server.user,
    )


def _initdb(
    server: Server,
    settings: PostgresSettings,
    data: Path,
    password: Path,
    log: Path,
    deadline: Deadline,
    stop: StopFlag | None,
) -> None:
    argv = [
        str(server.program("initdb")),
        *("--pgdata", str(data)),
        *("--username", settings.user, f"--pwfile={password}", "--auth=scram-sha-256"),
        # Text is sorted the same on every machine, whatever locales it has.
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    ]
    code = run_to_end(
        argv,
        what="initdb",
        log=log,
        deadline=deadline,
        cwd=data,
        env=_environment(),
        user=server.user,
        stop=stop,
    )
    if code != 0:
        raise NotReadyError(
            "the database cannot be initialised",
            detail="\n".join(tail(log, LOG_LINES)),
            hint=f"the whole log is {log}",
        )


def _forget_dead_postmaster(data: Path, deadline: Deadline) -> None:
    """Remove the lock file of a server that was killed, once nothing of it is left.

    PostgreSQL itself only asks whether the pid exists. In a container, where pids are low and soon reused,
    and where dead processes may stay zombies, it might never start again. A new server must never run beside
    workers of the old one. All of them work in the data folder, so that is what is checked.
    """
    lock = data / "postmaster.pid"
    if not lock.is_file():
        return
    first = lock.read_text(encoding="utf-8").partition("\n")[0].strip()
    leader = int(first) if first.isdigit() else 0  # empty after a full disk
    while servers := _servers_in(data):
        if leader in servers or deadline.expired:
            return  # PostgreSQL will refuse to start, and name the one that runs
        time.sleep(_POLL_SECONDS)
    lock.unlink()


def _servers_in(data: Path) -> set[int]:
    """Return the living processes of PostgreSQL whose working folder is `data`."""
    found = set()
    for process in psutil.process_iter(["name", "status"]):
        if process.info["name"] == "postgres" and process.info["status"] != psutil.STATUS_ZOMBIE:
            try:
                if process.cwd() == os.path.realpath(data):
                    found.add(process.pid)
            except psutil.Error:
                continue  # it ended just now, or is another user's, who cannot enter this folder
    return found


def _environment() -> dict[str, str]:
    """Return an environment without the user's own variables: PGPORT, PGDATA and the like are for clients."""
    return environment.for_service(os.environ, LC_ALL="C")
