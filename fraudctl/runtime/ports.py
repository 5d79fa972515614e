"""Ports on 127.0.0.1: whether one is free, and if not, who holds it."""

import errno
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from fraudctl.clock import Deadline
from fraudctl.errors import RefusedError

LOOPBACK = "127.0.0.1"
_SHOWN_CHARACTERS = 160
_CLOSING_SECONDS = 5.0
_POLL_SECONDS = 0.1
_LASTING = range(20_000, 32_000)
_NEAR_ENDS = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True)
class Holder:
    """The process that listens on a port, as far as this user may know."""

    pid: int | None
    name: str
    command: str

    @property
    def described(self) -> str:
        """Return the process in words."""
        if self.pid is None:
            return "a process that this user may not see (ask as root: `ss -ltnp`)"
        return f"{self.name} (pid {self.pid})"


def is_free(port: int) -> bool:
    """Tell whether a server could listen there now; connections that are just closing do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """Return a port that nobody listens on, and that is not in `taken`.

    If possible, it is none that the kernel gives to the near end of a connection (an ephemeral port). While a
    service is away, any client could be given such a port, even one that tries to reach that service and then
    reaches itself; the service could not get its port back.
    """
    near_ends = _near_ends()
    lasting = [port for port in _LASTING if port not in near_ends and port not in taken]
    while lasting:
        port = lasting.pop(secrets.randbelow(len(lasting)))
        if is_free(port):
            return port
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def _near_ends() -> range:
    if not _NEAR_ENDS.is_file():
        return range(49_152, 65_536)  # the range that IANA sets aside for that
    low, high = _NEAR_ENDS.read_text(encoding="ascii").split()
    return range(int(low), int(high) + 1)


def holder(port: int) -> Holder:
    """Return who listens on `port`; the pid is None when an ordinary user may not see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS shows no one's connections to an ordinary user
        connections = []
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or connection.pid is None:
            continue
        if connection.laddr.port == port:
            try:
                process = psutil.Process(connection.pid)
                command = " ".join(process.cmdline())
                shown = command if len(command) <= _SHOWN_CHARACTERS else command[:_SHOWN_CHARACTERS] + " …"
                return Holder(connection.pid, process.name(), shown)
            except psutil.Error:
                continue  # it ended meanwhile, or belongs to another user
    return Holder(None, "", "")


def require_free(port: int, *, service: str, setting: str) -> None:
    """Check that `port` is free; if it is taken, name the process that holds it.

    A port without a visible holder may belong to a process that was killed a moment ago and whose threads are
    still ending: that is waited for.

    Raises:
        RefusedError: the port is taken or reserved; the hint says what to do.
    """
    closing = Deadline(_CLOSING_SECONDS)
    while not is_free(port):
        if closing.expired or holder(port).pid is not None:
            break
        time.sleep(_POLL_SECONDS)
    else:
        return
    variable = f"FRAUDCTL_{setting.upper().replace('.', '__')}"
    if port < 1024 and holder(port).pid is None:
        raise RefusedError(
            f"port {port} for {service} may not be used",
            detail="ports below 1024 are reserved for root, unless another process holds it",
            hint=f"set {setting} (or {variable}) to another port, or use --any-port",
        )
    found = holder(port)
    raise RefusedError(
        f"port {port} for {service} is held by {found.described}",
        detail=found.command,
        hint=f"stop it, set {setting} (or {variable}) to another port, or use `fraudctl up --any-port`",
    )
