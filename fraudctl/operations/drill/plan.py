"""Draw the plan of a drill in advance: one seed gives the same faults at the same points, in order."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeVar

from fraudctl.errors import UsageError
from fraudctl.failpoints import FAILPOINTS

T = TypeVar("T")
Fault = Literal["kill", "pause", "postgres", "kafka"]

FAULTS: dict[Fault, str] = {
    "kill": "kill -9 of the detector: at a failpoint, at a random moment, or during its start",
    "pause": "the detector is halted inside a batch, and woken up or succeeded by another one",
    "postgres": "kill -9 of the database, which is then started again",
    "kafka": "kill -9 of the broker, which is then started again",
}
# Points of a kill that are no failpoints.
START_UP = "start-up"
MOMENT = "random moment"
# From the second time on, so that a batch is committed after each start: `back_seconds` ends there.
_NTH = (2, 4)
_BATCHES = (1, 3)
_MOMENT_SECONDS = 2.0
_START_UP_SECONDS = 8.0
# The range begins below the lease duration of the drill's profile and ends above it.
_HALTED_SECONDS = (0.5, 8.0)


@dataclass(frozen=True)
class Cycle:
    """A fault of the plan.

    `nth`: how often its failpoint is reached, or how many batches are committed before its moment.
    `delay_seconds`: the time from there to the fault; for a pause, until the detector is woken. `succeeded`:
    the lease is taken from the halted detector before it is woken.
    """

    fault: Fault
    place: str
    nth: int = 0
    delay_seconds: float = 0.0
    succeeded: bool = False

    @property
    def armed(self) -> str:
        """Return the value of FRAUDCTL_FAILPOINT that makes the fault happen, or "" for other faults."""
        if self.place not in FAILPOINTS:
            return ""
        return f"{self.place}:{self.nth}" + ("=pause" if self.fault == "pause" else "")

    @property
    def where(self) -> str:
        """Return the point of the fault in words."""
        if self.place in FAILPOINTS:
            ending = ""
            if self.fault == "pause":
                ending = ", succeeded" if self.succeeded else f", woken after {self.delay_seconds:.1f} s"
            return f"{self.place}, time {self.nth}{ending}"
        if self.place == START_UP:
            return f"{self.place}, {self.delay_seconds:.1f} s after it began"
        return f"{self.place}, {self.nth} batches and {self.delay_seconds:.1f} s later"


def draw(seed: int, cycles: int, faults: Sequence[Fault], at: Sequence[str] = ()) -> tuple[Cycle, ...]:
    """Draw the plan; a longer plan with the same seed begins with the same cycles.

    Kinds of faults, and points, repeat only after all of them have been drawn; a kill at a random moment is
    drawn twice as often as at any other point.
    """
    random = Random(seed)
    kinds = _again_and_again(random, [fault for fault in FAULTS if fault in faults])
    kill_places = _again_and_again(random, at or (*FAILPOINTS, START_UP, MOMENT, MOMENT))
    pause_places = _again_and_again(random, at or tuple(FAILPOINTS))
    endings = _again_and_again(random, (True, False))

    def moment(fault: Fault) -> Cycle:
        return Cycle(fault, MOMENT, random.randint(*_BATCHES), _tenths(random, 0.0, _MOMENT_SECONDS))

    def one(fault: Fault) -> Cycle:
        if fault == "pause":
            nth = random.randint(*_NTH)
            halted = _tenths(random, *_HALTED_SECONDS)
            return Cycle(fault, next(pause_places), nth, halted, succeeded=next(endings))
        place = next(kill_places) if fault == "kill" else MOMENT
        if place == MOMENT:
            return moment(fault)
        if place == START_UP:
            return Cycle(fault, place, 0, _tenths(random, 0.0, _START_UP_SECONDS))
        return Cycle(fault, place, random.randint(*_NTH))

    return tuple(one(next(kinds)) for _ in range(cycles))


def faults_named(text: str) -> tuple[Fault, ...]:
    """Return the faults of a comma-separated list.

    Raises:
        UsageError: one is unknown, or there is none.
    """
    names = _names(text, FAULTS, "fault", "--faults kill,pause")
    return tuple(fault for fault in FAULTS if fault in names)


def places_named(text: str, faults: Sequence[Fault]) -> tuple[str, ...]:
    """Return the failpoints of a comma-separated list.

    Raises:
        UsageError: one is unknown, there is none, or none of the faults happens at a failpoint.
    """
    names = _names(text, FAILPOINTS, "failpoint", "--at before_merge,after_commit")
    if not {"kill", "pause"} & set(faults):
        raise UsageError(
            "--at chooses where the detector is hit, and none of --faults hits the detector",
            hint="add kill or pause to --faults, or leave --at away",
        )
    return tuple(place for place in FAILPOINTS if place in names)


def _names(text: str, known: Iterable[str], what: str, example: str) -> set[str]:
    names = {part.strip() for part in text.split(",") if part.strip()}
    if not names:
        raise UsageError(f"no {what} is named", hint=f"for example `fraudctl drill {example}`")
    for name in sorted(names - set(known)):
        nearest = difflib.get_close_matches(name, list(known), n=1)
        raise UsageError(
            f"{name!r} is not a {what}",
            detail=f"known: {', '.join(known)}",
            hint=f"did you mean {nearest[0]}?" if nearest else f"for example `fraudctl drill {example}`",
        )
    return names


def _again_and_again(random: Random, things: Sequence[T]) -> Iterator[T]:
    """Yield all of them in a random order, then all of them in another one, without end."""
    while True:
        yield from random.sample(things, len(things))


def _tenths(random: Random, low: float, high: float) -> float:
    return round(random.uniform(low, high), 1)
