"""Passwords: made once inside a volume, and copied (mode 0600) to where clients on this machine look."""

from dataclasses import dataclass
from pathlib import Path

from fraudctl.runtime.compose.model import Secrets
from fraudctl.runtime.docker.engine import Engine
from fraudctl.runtime.files import make_folder, write_whole


@dataclass(frozen=True)
class SecretFiles:
    """The files of one stack. `places`: where each lies on this machine; those in `own` are our copies."""

    engine: Engine
    secrets: Secrets | None
    container: str
    places: dict[str, Path]
    own: Path

    @property
    def service(self) -> str | None:
        return self.secrets.service if self.secrets else None

    def hand_over(self) -> None:
        """Give a container that has not been started yet what this machine has and the volume has not.

        So a password that the user has chosen is taken, and one that the volume knows is never replaced.
        """
        if self.secrets is None:
            return
        for name, place in self.places.items():
            path = f"{self.secrets.folder}/{name}"
            if place.is_file() and self.engine.get_file(self.container, path) is None:
                content = place.read_text(encoding="utf-8").strip() + "\n"
                self.engine.put_file(self.container, self.secrets.folder, name, content.encode())

    def gather(self, *, anew: bool = False) -> None:
        """Copy what this machine lacks out of the volume, if the container that made it is still there.

        `anew`: also a copy of ours that is another one by now; the volume was made anew without us.
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
