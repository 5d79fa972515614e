"""Compare expected rows with stored rows, and name every difference."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from fraudctl.recount.instants import instant_text
from fraudctl.recount.windows import Totals, WindowKey

Kind = Literal["missing", "extra", "differs"]
COLUMNS = ("count", "flagged_count", "amount_minor", "flagged_amount_minor")
Column = Literal["reason", "arrival", "payload", "payload_bytes"]
# (topic, partition, offset)
Place = tuple[str, int, int]


class Timed(Protocol):
    """A row about one transaction, with its event time in microseconds since 1970."""

    @property
    def event_time_us(self) -> int:
        """Return the event time."""


Key = TypeVar("Key", str, tuple[int, str])
Row = TypeVar("Row", bound=Timed)


@dataclass(frozen=True)
class WindowDifference:
    """A row of fraud_metrics that differs from the expected one; `columns` names the values that differ."""

    kind: Kind
    window_start: str
    window_end: str
    category: str
    columns: tuple[str, ...]
    expected: Totals | None
    stored: Totals | None


@dataclass(frozen=True)
class DeadLetterDifference:
    """A row of dead_letters that differs from the expected one, with both values of `column`."""

    kind: Kind
    topic: str
    partition: int
    offset: int
    expected: str | None
    stored: str | None
    column: Column = "reason"


def compare_windows(
    expected: Mapping[WindowKey, Totals], stored: Mapping[WindowKey, Totals]
) -> Iterator[WindowDifference]:
    """Yield every row on which both sides differ, in the order of the windows."""
    for key in sorted(expected.keys() | stored.keys()):
        ours, theirs = expected.get(key), stored.get(key)
        if ours == theirs:
            continue
        columns: tuple[str, ...] = ()
        if ours is not None and theirs is not None:
            columns = tuple(name for name in COLUMNS if getattr(ours, name) != getattr(theirs, name))
        yield WindowDifference(
            _kind(ours, theirs),
            instant_text(key.start_us),
            instant_text(key.end_us),
            key.category,
            columns,
            ours,
            theirs,
        )


def compare_dead_letters(
    expected: Mapping[Place, str], stored: Mapping[Place, str]
) -> Iterator[DeadLetterDifference]:
    """Yield every rejected record on which both sides differ, in the order of the log."""
    for place in sorted(expected.keys() | stored.keys()):
        ours, theirs = expected.get(place), stored.get(place)
        if ours != theirs:
            yield DeadLetterDifference(_kind(ours, theirs), *place, ours, theirs)


def compare_rows(
    expected: Mapping[Key, Row], stored: Mapping[Key, Row], columns: Collection[str]
) -> Iterator[tuple[Kind, Key, tuple[str, ...], Row | None, Row | None]]:
    """Yield every row that differs in one of these columns, in the order of event time.

    Yields:
        The kind of the difference, the key, the columns that differ, and the row on either side.
    """
    found = []
    for key in expected.keys() | stored.keys():
        ours, theirs = expected.get(key), stored.get(key)
        differing: tuple[str, ...] = ()
        if ours is not None and theirs is not None:
            differing = tuple(name for name in columns if getattr(ours, name) != getattr(theirs, name))
            if not differing:
                continue
        one = ours or theirs
        assert one is not None, "it is on one side at least"
        found.append((one.event_time_us, key, (_kind(ours, theirs), key, differing, ours, theirs)))
    for _event_us, _key, difference in sorted(found, key=lambda entry: entry[:2]):
        yield difference


class RowDifference(Protocol):
    """A difference of two rows about one transaction."""

    @property
    def expected(self) -> Timed | None:
        """Return the expected row."""

    @property
    def stored(self) -> Timed | None:
        """Return the stored row."""

    @property
    def digest(self) -> str:
        """Return the transaction's digest."""


Different = TypeVar("Different", bound=RowDifference)


def in_order(differences: Iterable[Different]) -> list[Different]:
    """Sort differences from several buckets into the order of `compare_rows`."""

    def key(one: Different) -> tuple[int, int, str]:
        row = one.expected or one.stored
        assert row is not None, "it is on one side at least"
        return row.event_time_us, getattr(one, "partition", 0), one.digest

    return sorted(differences, key=key)


def _kind(expected: object | None, stored: object | None) -> Kind:
    if stored is None:
        return "missing"
    return "extra" if expected is None else "differs"
