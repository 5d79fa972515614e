"""Client of the Docker engine: every call of the SDK is made here."""

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.utils
import docker.utils.socket
import requests.exceptions

from fraudctl.clock import Deadline, StopFlag
from fraudctl.errors import NotReadyError
from fraudctl.runtime.docker import failures
from fraudctl.runtime.docker.address import EngineAddress
from fraudctl.runtime.docker.container import Config
from fraudctl.runtime.docker.failures import translated

_CONNECT_SECONDS = 5.0
_CALL_SECONDS = 30.0


class Engine:
    """A connection to one engine.

    Errors of the SDK are raised as a `FraudctlError`, which says what was being done.
    """

    def __init__(self, address: EngineAddress) -> None:
        """Connect to an engine, and ask for its version.

        Args:
            address: the address of the engine.

        Raises:
            UnreachableError: no engine answers there.
        """
        self.address = address
        try:
            self._api = docker.APIClient(
                base_url=address.host,
                version="auto",
                timeout=_CONNECT_SECONDS,
                tls=_tls(address),
            )
            self._api.timeout = _CALL_SECONDS
            self.version = str(self._api.version().get("Version", "?"))
            # In a rootless engine, users inside are others outside, and root inside is the engine's owner.
            self.rootless = "name=rootless" in (self._api.info().get("SecurityOptions") or ())
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise failures.unreachable(address, error) from error

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def _doing(self, doing: str) -> Any:
        return translated(self.address, doing)

    # Images

    def image_id(self, image: str) -> str | None:
        """Return the id of an image; None if the engine has none."""
        with self._doing(f"looking for {image}"):
            try:
                return str(self._api.inspect_image(image)["Id"])
            except docker.errors.ImageNotFound:
                return None

    def can_fetch(self, image: str) -> str:
        """Return why an image cannot be fetched; empty if the registry knows it."""
        self._api.timeout = _CONNECT_SECONDS
        try:
            self._api.inspect_distribution(image)
        except docker.errors.APIError as error:
            return str(error.explanation or error)
        except requests.exceptions.RequestException as error:
            return str(error)
        finally:
            self._api.timeout = _CALL_SECONDS
        return ""

    def pull(
        self,
        image: str,
        setting: str,
        on_bytes: Callable[[int, int], None],
        deadline: Deadline,
        stop: StopFlag,
    ) -> None:
        """Fetch an image; `on_bytes` is told how many bytes have come, and of how many.

        `setting` is the name of the setting that chooses the image, for hints.

        Raises:
            UnreachableError: it cannot be fetched.
            NotReadyError: it took too long.
        """
        name, tag = docker.utils.parse_repository_tag(image)
        layers: dict[str, tuple[int, int]] = {}
        try:
            for event in self._api.pull(name, tag=tag or "latest", stream=True, decode=True):
                if "error" in event:
                    raise failures.of_pull(image, str(event["error"]), setting)
                detail = event.get("progressDetail") or {}
                if event.get("status") == "Downloading" and detail.get("total"):
                    layers[event["id"]] = (detail["current"], detail["total"])
                elif event.get("status") in ("Download complete", "Pull complete") and event["id"] in layers:
                    layers[event["id"]] = (layers[event["id"]][1],) * 2
                on_bytes(sum(done for done, _ in layers.values()), sum(total for _, total in layers.values()))
                if stop.is_set:
                    raise KeyboardInterrupt
                if deadline.expired:
                    raise NotReadyError(
                        f"the image {image} was not fetched within {deadline.seconds:g} s",
                        hint="run `fraudctl up` again: what has come is kept; or raise docker.pull_seconds",
                    )
        except docker.errors.APIError as error:
            raise failures.of_pull(image, str(error.explanation or error), setting) from error
        except requests.exceptions.RequestException as error:
            raise failures.gone(self.address, error, f"fetching {image}") from error

    # Containers

    def containers(self, filters: dict[str, Any] | None = None, *, stopped: bool = True) -> list[Any]:
        """Return the containers that match `filters`, as `GET /containers/json` describes them."""
        with self._doing("listing containers"):
            return list(self._api.containers(all=stopped, filters=filters))

    def inspect(self, container: str) -> dict[str, Any] | None:
        """Return the engine's description of a container; None if there is no such container."""
        with self._doing(f"looking at {container}"):
            try:
                return dict(self._api.inspect_container(container))
            except docker.errors.NotFound:
                return None

    def create(self, config: Config, labels: dict[str, str], name: str) -> str:
        """Create a container, and return its id."""
        with self._doing(f"creating {name}"):
            return str(self._api.create_container_from_config({**config, "Labels": labels}, name)["Id"])

    def start(self, name: str) -> None:
        """Start a container."""
        with self._doing(f"starting {name}"):
            self._api.start(name)

    def attach(self, name: str) -> Iterator[bytes]:
        """Return what a container writes, from its start to its end.

        Its standard input ends with this process. The connection is made by this call, the reading by the
        iteration.
        """
        wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        with self._doing(f"attaching to {name}"):
            connection = self._api.attach_socket(name, params=wanted)

        def pieces() -> Iterator[bytes]:
            with self._doing(f"reading what {name} writes"):
                for _, piece in docker.utils.socket.frames_iter(connection, tty=False):
                    yield piece

        return pieces()

    def wait(self, name: str, seconds: float = _CALL_SECONDS) -> None:
        """Wait until a container has ended; return at once if it is gone."""
        with self._doing(f"waiting for the end of {name}"):
            try:
                self._api.wait(name, timeout=seconds)
            except docker.errors.NotFound:
                return

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a container's first process; do nothing if it has ended or is gone."""
        with self._doing(f"sending a signal to {name}"):
            try:
                self._api.kill(name, number)
            except docker.errors.APIError as error:
                if error.status_code not in (404, 409):
                    raise

    def unpause(self, name: str) -> None:
        """Resume a paused container."""
        with self._doing(f"unpausing {name}"):
            self._api.unpause(name)

    def stop(self, name: str, seconds: float) -> None:
        """Stop a container, which gets `seconds` to end by itself; do nothing if it is gone."""
        with self._doing(f"stopping {name}"):
            try:
                self._api.stop(name, timeout=max(1, round(seconds)))
            except docker.errors.NotFound:
                return

    def remove(self, name: str) -> None:
        """Remove a container with its anonymous volumes; named volumes, such as the stack's, stay."""
        with self._doing(f"removing {name}"):
            try:
                self._api.remove_container(name, v=True, force=True)
            except docker.errors.NotFound:
                return

    def log(self, name: str, lines: int) -> list[str]:
        """Return the last `lines` lines of a container's log; none if the container is gone."""
        with self._doing(f"reading the log of {name}"):
            try:
                text = self._api.logs(name, tail=lines)
            except docker.errors.NotFound:
                return []
        return list(bytes(text).decode("utf-8", errors="replace").splitlines())

    def stamped_log(self, name: str, *, lines: int | None = None, after: str = "") -> list[tuple[str, str]]:
        """Return log lines with the engine's timestamps: the last `lines`, or those after a timestamp.

        The timestamps sort as text.
        """
        since = None
        if after:
            # The engine takes whole seconds; lines that are too old are left out below.
            since = int(datetime.fromisoformat(after[:19] + "+00:00").timestamp())
        with self._doing(f"reading the log of {name}"):
            try:
                text = self._api.logs(name, timestamps=True, tail=lines or "all", since=since)
            except docker.errors.NotFound:
                return []
        pairs = [line.partition(" ") for line in bytes(text).decode("utf-8", errors="replace").splitlines()]
        return sorted(
            ((stamp, rest.rstrip("\r")) for stamp, _, rest in pairs if stamp > after),
            key=lambda pair: pair[0],
        )

    # Files

    def put_file(self, container: str, folder: str, name: str, content: bytes) -> None:
        """Write a file that only root may read into a folder of a container, which need not run."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o400
            archive.addfile(entry, io.BytesIO(content))
        with self._doing(f"writing {name} into {container}"):
            self._api.put_archive(container, folder, buffer.getvalue())

    def get_file(self, container: str, path: str) -> bytes | None:
        """Return the content of a file in a container; None if there is none."""
        with self._doing(f"reading {path} of {container}"):
            try:
                pieces, _ = self._api.get_archive(container, path)
            except docker.errors.NotFound:
                return None
            buffer = io.BytesIO(b"".join(pieces))
        with tarfile.open(fileobj=buffer) as archive:
            member = archive.extractfile(archive.getmembers()[0])
            return member.read() if member else None

    # Networks and volumes

    def networks(self, name: str) -> list[Any]:
        """Return the networks of exactly this name."""
        with self._doing("listing networks"):
            return [each for each in self._api.networks(names=[name]) if each["Name"] == name]

    def create_network(self, name: str, labels: dict[str, str]) -> None:
        """Create a bridge network."""
        with self._doing(f"creating the network {name}"):
            self._api.create_network(name, driver="bridge", labels=labels, check_duplicate=True)

    def remove_network(self, name: str) -> None:
        """Remove a network; do nothing if it is gone."""
        with self._doing(f"removing the network {name}"):
            try:
                self._api.remove_network(name)
            except docker.errors.NotFound:
                return

    def volumes(self, filters: dict[str, Any]) -> list[Any]:
        """Return the volumes that match `filters`."""
        with self._doing("listing volumes"):
            return list(self._api.volumes(filters=filters)["Volumes"] or [])

    def create_volume(self, name: str, labels: dict[str, str], place: Path | None = None) -> None:
        """Create a volume.

        `place` is a folder of this machine that holds its data; it must exist before a container starts.
        """
        options = {"type": "none", "o": "bind", "device": str(place)} if place else None
        with self._doing(f"creating the volume {name}"):
            self._api.create_volume(name, driver="local", driver_opts=options, labels=labels)

    def remove_volume(self, name: str) -> None:
        """Remove a volume; do nothing if it is gone."""
        with self._doing(f"removing the volume {name}"):
            try:
                self._api.remove_volume(name)
            except docker.errors.NotFound:
                return

    # Commands in a container

    def run(self, container: str, argv: Iterable[str], on_output: Callable[[bytes, bool], None]) -> int:
        """Run a command in a running container, and return its exit code.

        `on_output` is given pieces of the output, with True for stderr.
        """
        with self._doing(f"running a command in {container}"):
            identity = self._api.exec_create(container, list(argv))["Id"]
            for out, err in self._api.exec_start(identity, stream=True, demux=True):
                if out:
                    on_output(out, False)
                if err:
                    on_output(err, True)
            return int(self._api.exec_inspect(identity)["ExitCode"])


def _tls(address: EngineAddress) -> Any:
    if not address.tls:
        return False
    return docker.tls.TLSConfig(
        client_cert=(f"{address.tls}/cert.pem", f"{address.tls}/key.pem"),
        ca_cert=f"{address.tls}/ca.pem",
        verify=True,
    )
