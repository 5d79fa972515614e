"""Expected rows of fraud_alerts, and their comparison with the stored rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fraudctl.recount.compare import Kind, compare_rows
from fraudctl.recount.instants import instant_text
from fraudctl.recount.ledger import Batch
from fraudctl.recount.raised import Raised


class Alert(NamedTuple):
    """The contents of a row of fraud_alerts, except the times of writing and sending."""

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
    query_id: str
    batch_id: int


Alerts = Mapping[str, Alert]


@dataclass(frozen=True)
class AlertDifference:
    """A row of fraud_alerts that differs from the expected one; `columns` names the values that differ."""

    kind: Kind
    digest: str
    transaction_id: str
    columns: tuple[str, ...]
    expected: Alert | None
    stored: Alert | None


def expected_alerts(raised: Mapping[str, Raised], batches: Sequence[Batch]) -> dict[str, Alert]:
    """Return the expected rows, by digest."""
    return {digest: _alert(one, batches[one.place]) for digest, one in raised.items()}


def compare_alerts(
    expected: Alerts, stored: Alerts, *, ignoring: frozenset[str] = frozenset()
) -> Iterator[AlertDifference]:
    """Yield every row on which both sides differ, in the order of event time; `ignoring` names columns."""
    columns = [name for name in Alert._fields if name not in ignoring]
    for kind, digest, differing, ours, theirs in compare_rows(expected, stored, columns):
        one = ours or theirs
        assert one is not None, "it is on one side at least"
        yield AlertDifference(kind, digest, one.transaction_id, differing, ours, theirs)


def alert_value(alert: Alert, column: str) -> str:
    """Return one value of an alert as text."""
    value = getattr(alert, column)
    return instant_text(value) if column.endswith("_us") else str(value)


def _alert(raised: Raised, batch: Batch) -> Alert:
    transaction, verdict = raised.transaction, raised.verdict
    return Alert(
        transaction.transaction_id,
        transaction.card_id,
        transaction.merchant_id,
        transaction.event_us,
        transaction.category,
        transaction.amount_minor,
        transaction.currency,
        transaction.country,
        transaction.channel,
        raised.arrival_ms * 1000,
        batch.rule_set,
        verdict.score,
        ",".join(verdict.rules),
        batch.query_id,
        batch.batch_id,
    )
