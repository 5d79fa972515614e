"""Search for the engine's address: DOCKER_HOST, a Docker context, or the first socket that exists.

Nothing is connected to.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fraudctl.config.file_kinds import open_regular_file
from fraudctl.errors import RefusedError, UnreachableError

# Sockets of engines that serve the whole machine.
SYSTEM_SOCKETS = (("Docker", Path("/var/run/docker.sock")), ("Podman", Path("/run/podman/podman.sock")))
INSTEAD = "or begin a stack with `--profile local`, which needs no Docker"


@dataclass(frozen=True)
class EngineAddress:
    """The address of an engine, and the setting that it came from.

    `tls` is the folder with ca.pem, cert.pem and key.pem, if the connection is encrypted.
    """

    host: str
    source: str
    tls: str = ""

    @property
    def socket(self) -> Path | None:
        """Return the socket's file, if the engine listens on one."""
        return Path(self.host.removeprefix("unix://")) if self.host.startswith("unix://") else None


def find_engine(
    environ: Mapping[str, str],
    home: Path | None = None,
    system: Sequence[tuple[str, Path]] = SYSTEM_SOCKETS,
) -> EngineAddress:
    """Return the engine that the `docker` command would use; without any setting, also rootless or Podman.

    Raises:
        UnreachableError: no socket is there, or the context does not exist.
        RefusedError: the engine runs on another machine.
    """
    home = home or _home_folder()
    address = _named(environ, home) or _first_socket(environ, home, system)
    if address is None:
        installed = shutil.which("docker", path=environ.get("PATH")) is not None
        raise UnreachableError(
            "no Docker engine runs here: there is no socket to be found"
            if installed
            else "Docker is not installed here",
            detail="looked for DOCKER_HOST, a Docker context, /var/run/docker.sock, and the sockets of "
            "rootless Docker, Docker Desktop and Podman",
            hint=f"{'start Docker' if installed else 'install Docker (or Podman)'}, {INSTEAD}",
        )
    _refuse_elsewhere(address)
    return address


def _home_folder() -> Path:
    """Return the home folder; for a user without one, a folder that does not exist."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


def _named(environ: Mapping[str, str], home: Path) -> EngineAddress | None:
    if host := environ.get("DOCKER_HOST"):
        tls = environ.get("DOCKER_CERT_PATH") or str(home / ".docker")
        return EngineAddress(host, "DOCKER_HOST", tls if environ.get("DOCKER_TLS_VERIFY") else "")
    folder = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
    name, source = environ.get("DOCKER_CONTEXT", ""), "DOCKER_CONTEXT"
    if not name:
        name, source = str(_json(folder / "config.json").get("currentContext", "")), "docker context"
    if name in ("", "default"):
        return None
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = _json(folder / "contexts" / "meta" / key / "meta.json")
    host = str(meta.get("Endpoints", {}).get("docker", {}).get("Host", ""))
    if not host:
        raise UnreachableError(
            f"there is no Docker context {name!r}",
            detail=f"named by {source}, looked for in {folder}",
            hint=f"`docker context ls` lists them; `docker context use default` goes back, {INSTEAD}",
        )
    material = folder / "contexts" / "tls" / key / "docker"
    return EngineAddress(host, f"context {name}", str(material) if material.is_dir() else "")


def _first_socket(
    environ: Mapping[str, str], home: Path, system: Sequence[tuple[str, Path]]
) -> EngineAddress | None:
    own = Path(environ["XDG_RUNTIME_DIR"]) if environ.get("XDG_RUNTIME_DIR") else None
    candidates = [
        *system[:1],
        ("rootless Docker", own / "docker.sock" if own else None),
        ("Docker Desktop", home / ".docker" / "run" / "docker.sock"),
        ("Docker Desktop", home / ".docker" / "desktop" / "docker.sock"),
        ("Colima", home / ".colima" / "default" / "docker.sock"),
        ("Podman", own / "podman" / "podman.sock" if own else None),
        *system[1:],
    ]
    for source, socket in candidates:
        if socket is not None and socket.is_socket():
            return EngineAddress(f"unix://{socket}", source)
    return None


def _json(file: Path) -> dict[str, Any]:
    """Return the content of one of Docker's own settings files; empty if it cannot be read."""
    try:
        with open_regular_file(file) as stream:
            document = json.loads(stream.read())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _refuse_elsewhere(address: EngineAddress) -> None:
    """Check that the engine runs on this machine: ports are published on the engine's loopback address."""
    try:
        parts = urlsplit(address.host)
        where, port = parts.hostname, parts.port
    except ValueError as error:
        raise _no_address(address, str(error)) from error
    if parts.scheme in ("unix", "npipe"):
        return
    if parts.scheme not in ("tcp", "http", "https", "ssh") or not where:
        raise _no_address(address, "expected unix:///path/to/docker.sock or tcp://127.0.0.1:2375")
    if parts.scheme == "ssh" or where not in ("localhost", "127.0.0.1", "::1"):
        raise RefusedError(
            f"the Docker engine at {address.host} runs on another machine",
            detail=f"named by {address.source}; ports are published on 127.0.0.1 of the engine's machine, "
            "which cannot be reached from here",
            hint="run fraudctl there, or use an engine of this machine (`docker context use default`)",
        )
    if parts.scheme == "tcp" and port is None:
        raise _no_address(address, "the port is missing")


def _no_address(address: EngineAddress, detail: str) -> UnreachableError:
    return UnreachableError(
        f"{address.host!r} is not the address of a Docker engine",
        detail=f"from {address.source}: {detail}",
        hint=f"correct or unset it, {INSTEAD}",
    )
