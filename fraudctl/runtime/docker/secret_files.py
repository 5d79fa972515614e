"""Passwords that are made once inside a volume, and copied (mode 0600) to clients on this machine."""

from dataclasses import dataclass
from pathlib import Path

from fraudctl.runtime.compose.model import Secrets
from fraudctl.runtime.docker.engine import Engine
from fraudctl.runtime.files import make_folder, write_whole


@dataclass(frozen=True)
class SecretFiles:
    """The password files of one stack.

    `places` maps each file to its path on this machine; those in the folder `own` are fraudctl's copies.
    """

    engine: Engine
    secrets: Secrets | None
    container: str
    places: dict[str, Path]
    own: Path

    @property
    def service(self) -> str | None:
        """Return the name of the service that makes the passwords, if there is one."""
        return self.secrets.service if self.secrets else None

    def hand_over(self) -> None:
        """Copy passwords that the volume lacks from this machine to a container that is not started yet.

        So a password that the user has chosen is used, and one that the volume has is never replaced.
        """
        if self.secrets is None:
            return
        for name, place in self.places.items():
            path = f"{self.secrets.folder}/{name}"
            if place.is_file() and self.engine.get_file(self.container, path) is None:
                content = place.read_text(encoding="utf-8").strip() + "\n"
                self.engine.put_file(self.container, self.secrets.folder, name, content.encode())

    def gather(self, *, anew: bool = False) -> None:
        """Copy passwords that this machine lacks from the volume, if the container that made it still exists.

        With `anew`, a copy of ours that differs is replaced too: somebody else made the volume again.
        """
        if self.secrets is None:
            return
        wanted = {
            name: place
            for name, place in self.places.items()
            if not place.is_file() or (anew and place.parent == self.own)
        }
        if not wanted or self.engine.inspect(self.container) is None:
            return
        for name, place in wanted.items():
            content = self.engine.get_file(self.container, f"{self.secrets.folder}/{name}")
            if content and not (place.is_file() and place.read_bytes() == content):
                make_folder(place.parent, mode=0o700)
                write_whole(place, content.decode("utf-8"))
