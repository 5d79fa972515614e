"""Expected rows of fraud_flags, from rules on a card's past, and their comparison with the stored rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fraudctl.recount.card_log import FlagKey, Marked
from fraudctl.recount.compare import Kind, compare_rows
from fraudctl.recount.instants import instant_text
from fraudctl.recount.ledger import Batch


@dataclass(frozen=True, slots=True)
class Flag:
    """The contents of a row of fraud_flags, except the time of writing."""

    transaction_id: str
    card_id: str
    merchant_id: str
    event_time_us: int
    category: str
    amount_minor: int
    currency: str
    country: str
    channel: str
    arrival_us: int
    rule_set: str | None
    score: int
    rules: str
    alone: bool
    query_id: str
    batch_id: int

    def values(self) -> tuple[Any, ...]:
        """Return the columns in their order."""
        return tuple(getattr(self, name) for name in FLAG_COLUMNS)


FLAG_COLUMNS = tuple(column.name for column in fields(Flag))
Flags = Mapping[FlagKey, Flag]
# Columns that depend on how the log was cut into batches, and not on its records.
OF_THE_BATCH = frozenset({"query_id", "batch_id"})


@dataclass(frozen=True)
class FlagDifference:
    """A row of fraud_flags that differs from the expected one; `columns` names the values that differ."""

    kind: Kind
    partition: int
    digest: str
    transaction_id: str
    columns: tuple[str, ...]
    expected: Flag | None
    stored: Flag | None


def expected_flags(marked: Mapping[FlagKey, Marked], batches: Sequence[Batch]) -> dict[FlagKey, Flag]:
    """Return the expected rows, by partition and digest."""
    return {key: _flag(one, batches[one.place]) for key, one in marked.items()}


def compare_flags(
    expected: Flags, stored: Flags, *, ignoring: frozenset[str] = frozenset()
) -> Iterator[FlagDifference]:
    """Yield every row on which both sides differ, in the order of event time; `ignoring` names columns."""
    columns = [name for name in FLAG_COLUMNS if name not in ignoring]
    for kind, (partition, digest), differing, ours, theirs in compare_rows(expected, stored, columns):
        one = ours or theirs
        assert one is not None, "it is on one side at least"
        yield FlagDifference(kind, partition, digest, one.transaction_id, differing, ours, theirs)


def flag_value(flag: Flag, column: str) -> str:
    """Return one value of a flag as text."""
    value = getattr(flag, column)
    if isinstance(value, bool):
        return "true" if value else "false"
    return instant_text(value) if column.endswith("_us") else str(value)


def _flag(marked: Marked, batch: Batch) -> Flag:
    transaction, verdict = marked.transaction, marked.verdict
    return Flag(
        transaction.transaction_id,
        transaction.card_id,
        transaction.merchant_id,
        transaction.event_us,
        transaction.category,
        transaction.amount_minor,
        transaction.currency,
        transaction.country,
        transaction.channel,
        marked.arrival_ms * 1000,
        batch.rule_set,
        verdict.score,
        ",".join(verdict.rules),
        marked.alone,
        batch.query_id,
        batch.batch_id,
    )
