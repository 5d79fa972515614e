"""Make Spark run finished batches again, and show that nothing changes.

It works on a copy of the checkpoint, rewound by the requested batches, but against the live tables: the
batches come with the same query and batch ids, are found in the ledger, and must produce identical rows.
"""

import shutil
import time
from dataclasses import dataclass, replace

from fraudctl.checkpoint import rewind
from fraudctl.clock import StopFlag
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.lane import REDO
from fraudctl.database.dump import content_hash
from fraudctl.database.snapshot import read_snapshot
from fraudctl.errors import RefusedError
from fraudctl.operations.replay.session import ReplayRequest, Views, alone, clear, refuse_running, run
from fraudctl.progress import Progress


@dataclass(frozen=True)
class ReplayedBatch:
    """A batch that was run again, with the ledger's count of its replays before and after."""

    batch_id: int
    replays_before: int
    replays_after: int
    windows: int
    records: int


@dataclass(frozen=True)
class LastBatches:
    """The result of running the last batches again.

    `others` names batches whose count of replays changed although they were not requested.
    """

    batches: tuple[ReplayedBatch, ...]
    others: tuple[str, ...]
    hash_before: str
    hash_after: str
    seconds: float

    @property
    def unchanged(self) -> bool:
        """Return whether no row differs and exactly the requested batches were run once more."""
        counted = all(batch.replays_after == batch.replays_before + 1 for batch in self.batches)
        return self.hash_before == self.hash_after and counted and not self.others


def replay_last(request: ReplayRequest, batches: int, *, stop: StopFlag, views: Views) -> LastBatches:
    """Run the last `batches` batches of the live checkpoint again.

    Raises:
        RefusedError: a detector runs, or the checkpoint does not hold so many finished batches.
        DataError: a batch brought other rows than the ledger has for it; nothing was written.
        FraudctlError: for the same reasons as `detect`.
    """
    began = time.monotonic()
    paths, postgres = request.paths, request.endpoints.postgres
    refuse_running(paths, "its batches can be run again only while it stands still")
    with alone(request, views):
        live = paths.checkpoint
        held = rewind.finished(live)
        if len(held) < batches:
            raise RefusedError(
                f"the checkpoint holds {len(held)} finished batches, {batches} cannot be run again",
                hint=f"ask for --last-batches {len(held)}" if held else "run `fraudctl detect` first",
            )
        views.step(Progress("replay", "note", f"batches {held[-batches]} to {held[-1]} once more"))
        clear(paths)
        shutil.copytree(live, REDO.checkpoint(paths))
        before = _replays(postgres, request.connect_seconds)
        hash_before = content_hash(postgres, connect_seconds=request.connect_seconds)
        landed: dict[int, tuple[int, int]] = {}
        watched = replace(
            views, batch=lambda batch: landed.update({batch.batch_id: (batch.windows, batch.read)})
        )
        detected = run(request, replace(REDO, redo_batches=batches), stop=stop, views=watched)
        hash_after = content_hash(postgres, connect_seconds=request.connect_seconds)
        after = _replays(postgres, request.connect_seconds)
        clear(paths)
    wanted = {(detected.query_id, number) for number in held[-batches:]}
    moved = {key for key in before | after if before.get(key) != after.get(key)}
    return LastBatches(
        batches=tuple(
            ReplayedBatch(key[1], before.get(key, 0), after.get(key, 0), *landed.get(key[1], (0, 0)))
            for key in sorted(wanted)
        ),
        others=tuple(f"batch {number} of query {query}" for query, number in sorted(moved - wanted)),
        hash_before=hash_before,
        hash_after=hash_after,
        seconds=round(time.monotonic() - began, 1),
    )


def _replays(postgres: PostgresEndpoint, connect_seconds: float) -> dict[tuple[str, int], int]:
    snapshot = read_snapshot(postgres, connect_seconds=connect_seconds)
    return {(batch.query_id, batch.batch_id): batch.replays for batch in snapshot.batches}
