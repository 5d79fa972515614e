"""Where one run of the detector writes, and which part of the log it reads."""

from dataclasses import dataclass
from pathlib import Path

from fraudctl.config.paths import StackPaths

Offsets = dict[int, int]


@dataclass(frozen=True)
class Lane:
    """The default is the live lane; a replay has one of its own, so that both may run side by side.

    `starting_offsets` None begins at the earliest record, `ending_offsets` None never ends. `redo_batches`
    runs so many of the checkpoint's finished batches again, and nothing else.
    """

    name: str = "detector"
    schema: str = "fraud"
    folder: str = "checkpoint"
    starting_offsets: Offsets | None = None
    ending_offsets: Offsets | None = None
    redo_batches: int = 0

    def checkpoint(self, paths: StackPaths) -> Path:
        return paths.data / self.folder

    def log(self, paths: StackPaths) -> Path:
        return paths.logs / f"{self.name}.log"

    def record(self, paths: StackPaths) -> Path:
        """The process record of the run."""
        return self.file(paths, "process.json")

    def file(self, paths: StackPaths, ending: str) -> Path:
        """One of the run's own files: its job, progress, outcome, stop request or scratch folder."""
        return paths.run / f"{self.name}.{ending}"


LIVE = Lane()
# A replay lands in a schema of its own. A rebuild's checkpoint becomes the live one in the end.
REPLAY = Lane(name="replay", schema="fraud_shadow", folder="checkpoint.replay")
# Batches that run again do so on a copy of the live checkpoint, against the live tables.
REDO = Lane(name="replay", folder="checkpoint.redo")
