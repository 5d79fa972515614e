"""Rewinding of a checkpoint by some batches, so that Spark runs them again over the very same offsets.

At its start Spark compares `offsets/` (written before a batch) with `commits/` (written after it). The newest
batch is run again if it has no commit, over the range that was planned for it. Every batch before it counts
as done. So several batches are rerun one after the other, each while the plans of its successors are removed.
State of later batches is simply written again.

This is done to a copy of a checkpoint, never to the one that the detector continues from.
"""

from collections.abc import Iterator
from pathlib import Path

from fraudctl.errors import RefusedError


def finished(checkpoint: Path) -> list[int]:
    """Return the batches of which the checkpoint still has plan and commit, oldest first."""
    return sorted(_numbers(checkpoint / "offsets") & _numbers(checkpoint / "commits"))


def rewound(checkpoint: Path, batches: int) -> Iterator[int]:
    """Yield the last `batches` finished batches in order; each time Spark will run just that one.

    Raises:
        RefusedError: the checkpoint does not hold that many.
    """
    held = finished(checkpoint)
    if len(held) < batches:
        raise RefusedError(
            f"the checkpoint holds {len(held)} finished batches, {batches} cannot be run again",
            hint=f"ask for --last-batches {len(held)} or less" if held else "run `fraudctl detect` first",
        )
    wanted = held[-batches:]
    plans = {number: _take(checkpoint / "offsets", number) for number in wanted}
    for folder in ("offsets", "commits"):
        for number in _numbers(checkpoint / folder):
            if number >= wanted[0]:
                _take(checkpoint / folder, number)
    for number in wanted:
        for name, content in plans[number].items():
            (checkpoint / "offsets" / name).write_bytes(content)
        yield number


def _numbers(folder: Path) -> set[int]:
    return {int(file.name) for file in folder.glob("[0-9]*") if file.name.isdigit()}


def _take(folder: Path, number: int) -> dict[str, bytes]:
    """Remove the files of one batch, including Hadoop's checksum; return their content by name."""
    taken = {}
    for file in (folder / str(number), folder / f".{number}.crc"):
        if file.exists():
            taken[file.name] = file.read_bytes()
            file.unlink()
    return taken
