"""The run target of the detector: where one run writes, and which part of the log it reads."""

from dataclasses import dataclass
from pathlib import Path

from fraudctl.config.paths import StackPaths

Offsets = dict[int, int]


@dataclass(frozen=True)
class Lane:
    """The run target of one run of the detector: live, replay or redo.

    The default is the live one. A replay has its own files and schema, so that both may run side by side.
    `starting_offsets` None begins at the earliest record, `ending_offsets` None never ends. `redo_batches` is
    the number of the checkpoint's finished batches to run again, and nothing else; 0 runs new batches.
    """

    name: str = "detector"
    schema: str = "fraud"
    folder: str = "checkpoint"
    starting_offsets: Offsets | None = None
    ending_offsets: Offsets | None = None
    redo_batches: int = 0

    def checkpoint(self, paths: StackPaths) -> Path:
        """Return the checkpoint folder of the run."""
        return paths.data / self.folder

    def log(self, paths: StackPaths) -> Path:
        """Return the log file of the run."""
        return paths.logs / f"{self.name}.log"

    def record(self, paths: StackPaths) -> Path:
        """Return the file of the run's process record."""
        return self.file(paths, "process.json")

    def file(self, paths: StackPaths, ending: str) -> Path:
        """Return one of the run's own files: its job, progress, outcome, stop request or scratch folder."""
        return paths.run / f"{self.name}.{ending}"


LIVE = Lane()
# A replay writes to its own schema. The checkpoint of a rebuild becomes the live one in the end.
REPLAY = Lane(name="replay", schema="fraud_shadow", folder="checkpoint.replay")
# A redo runs on a copy of the live checkpoint, against the live tables.
REDO = Lane(name="replay", folder="checkpoint.redo")
