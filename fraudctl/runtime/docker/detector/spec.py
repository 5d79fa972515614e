"""What the attendant of the detector's container is told: one JSON file, without any secret."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fraudctl.runtime.files import make_folder, write_whole


@dataclass(frozen=True)
class Order:
    """`config` is the body of `POST /containers/create`; the volume is created if it is not there."""

    engine: str
    engine_tls: str
    name: str
    config: dict[str, Any]
    labels: dict[str, str]
    volume: str
    volume_labels: dict[str, str]
    volume_place: str

    def write(self, file: Path) -> None:
        make_folder(file.parent)
        write_whole(file, json.dumps(asdict(self), indent=2) + "\n")
