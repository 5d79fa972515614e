"""The container spec that the detector's shim is given: one JSON file, without any secret."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fraudctl.runtime.files import make_folder, write_whole


@dataclass(frozen=True)
class Order:
    """A container spec.

    `config` is the body of `POST /containers/create`; the volume is created if it does not exist.
    """

    engine: str
    engine_tls: str
    name: str
    config: dict[str, Any]
    labels: dict[str, str]
    volume: str
    volume_labels: dict[str, str]
    volume_place: str

    def write(self, file: Path) -> None:
        """Write the spec to a JSON file."""
        make_folder(file.parent)
        write_whole(file, json.dumps(asdict(self), indent=2) + "\n")
