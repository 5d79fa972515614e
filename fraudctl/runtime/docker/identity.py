"""Names and labels by which fraudctl and `docker compose` alike recognise what belongs to a stack."""

from dataclasses import dataclass
from pathlib import Path

from fraudctl import __version__
from fraudctl.runtime.compose.model import ComposeFile, Service

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
VOLUME = "com.docker.compose.volume"
NETWORK = "com.docker.compose.network"
ONE_OFF = "com.docker.compose.oneoff"
# fraudctl's own: the way in which Compose computes its hash is internal to Compose.
CONFIG_HASH = "fraudctl.config-hash"
# The folder of this machine that holds the stack's secrets and state.
FOLDER = "fraudctl.folder"

DEFAULT_NETWORK = "default"


@dataclass(frozen=True)
class Identity:
    """The names of one stack on one engine; `folder` is the stack's folder on this machine."""

    project: str
    folder: str
    file: Path

    def container(self, service: str) -> str:
        """Return the name of a service's container."""
        return f"{self.project}-{service}-1"

    def volume(self, volume: str) -> str:
        """Return the engine's name of a volume."""
        return f"{self.project}_{volume}"

    @property
    def network(self) -> str:
        """Return the name of the stack's network."""
        return f"{self.project}_{DEFAULT_NETWORK}"

    def container_labels(self, service: Service, config_hash: str, image_id: str) -> dict[str, str]:
        """Return the labels that `docker compose ls`, `ps`, `logs` and `down` read, and our own two."""
        needs = ",".join(f"{need.service}:{need.condition}:false" for need in service.needs)
        return {
            PROJECT: self.project,
            SERVICE: service.name,
            ONE_OFF: "False",
            "com.docker.compose.config-hash": config_hash,
            "com.docker.compose.container-number": "1",
            "com.docker.compose.depends_on": needs,
            "com.docker.compose.image": image_id,
            "com.docker.compose.project.config_files": str(self.file),
            "com.docker.compose.project.working_dir": str(self.file.parent),
            "com.docker.compose.version": f"fraudctl-{__version__}",
            CONFIG_HASH: config_hash,
            FOLDER: self.folder,
        }

    def volume_labels(self, volume: str) -> dict[str, str]:
        """Return the labels of a volume."""
        return self.owned | {VOLUME: volume}

    def volume_place(self, volume: str, file: ComposeFile) -> Path | None:
        """Return the folder of the stack that a volume lies in; None if the engine keeps it."""
        folder = dict(file.stack_folders).get(volume)
        return Path(self.folder) / folder if folder else None

    def network_labels(self) -> dict[str, str]:
        """Return the labels of the stack's network."""
        return self.owned | {NETWORK: DEFAULT_NETWORK}

    @property
    def owned(self) -> dict[str, str]:
        """Return the labels of everything that belongs to the stack."""
        return {
            PROJECT: self.project,
            "com.docker.compose.version": f"fraudctl-{__version__}",
            FOLDER: self.folder,
        }


def project_name(name: str, stack: str) -> str:
    """Return the name of a stack's project.

    The stack `default` is the project that `docker compose` makes of the file; others add their name.
    """
    return name if stack == "default" else f"{name}-{stack}"
