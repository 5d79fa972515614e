"""Counts of a table's rows: how many were read, taken and left out, and why."""

from dataclasses import dataclass

from fraudctl.tables.cells import Remark, TableRow
from fraudctl.tables.rejection import RejectedRowError

_FIRST_ROWS = 3


@dataclass(frozen=True)
class LeftOut:
    """Rows that were left out for one kind of reason.

    `first_rows` counts from 1; `first_lines` are lines of a text file. `chosen` tells whether the mapping
    says that such rows are to be left out.
    """

    reason: str
    count: int
    chosen: bool
    first_rows: tuple[int, ...]
    first_lines: tuple[int, ...]
    example: str
    hint: str


class RowCounts:
    """Counts of a table's rows; every row that was read is either taken or left out with a reason."""

    def __init__(self) -> None:
        """Start with no rows counted."""
        self.taken = 0
        self._reasons: dict[str, LeftOut] = {}

    @property
    def read(self) -> int:
        """Return how many rows were read."""
        return self.taken + self.left_out

    @property
    def left_out(self) -> int:
        """Return how many rows were left out."""
        return sum(reason.count for reason in self._reasons.values())

    @property
    def rejected(self) -> int:
        """Return how many rows were left out although the mapping does not say so."""
        return sum(reason.count for reason in self._reasons.values() if not reason.chosen)

    @property
    def reasons(self) -> tuple[LeftOut, ...]:
        """Return the reasons, the most frequent first."""
        return tuple(sorted(self._reasons.values(), key=lambda reason: -reason.count))

    def leave_out(self, row: TableRow, error: RejectedRowError | Remark) -> None:
        """Count a row that is left out or, in counts of remarks, one that has a remark."""
        known = self._reasons.get(error.kind)
        rows, lines = (known.first_rows, known.first_lines) if known else ((), ())
        if len(rows) < _FIRST_ROWS:
            rows = (*rows, row.number + 1)
            lines = lines if row.line is None else (*lines, row.line)
        self._reasons[error.kind] = LeftOut(
            reason=error.kind,
            count=known.count + 1 if known else 1,
            chosen=error.chosen,
            first_rows=rows,
            first_lines=lines,
            example=known.example if known else error.example,
            hint=known.hint if known else error.hint,
        )
