"""Logs of what cards do, and their recount, for tests."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from fraudctl.config.load import load
from fraudctl.recount.card_log import Marked
from fraudctl.recount.recount import NO_WATERMARK, Recount
from fraudctl.rules.model import RuleSet, parse_rules
from tests.support.recounts import recount_both

SETTINGS = load().settings
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# 12:00, the begin of a window for every horizon of whole minutes that divides an hour.
NOON_US = 1_773_144_000_000_000
MINUTE_US = 60_000_000


class Event(NamedTuple):
    """`seconds` after noon; `batch` reads it, `later_ms` after the event it arrives."""

    name: str
    seconds: float
    batch: int = 0
    card: str = "c"
    amount: int = 100
    country: str = "DE"
    merchant: str = "m"
    partition: int = 0
    later_ms: int = 0

    @property
    def event_us(self) -> int:
        return NOON_US + round(self.seconds * 1_000_000)

    @property
    def value(self) -> bytes:
        time = (EPOCH + timedelta(microseconds=self.event_us)).isoformat().replace("+00:00", "Z")
        event = {
            "schema_version": 1,
            "transaction_id": self.name,
            "event_time": time,
            "card_id": self.card,
            "merchant_id": self.merchant,
            "category": "Food",
            "amount_minor": self.amount,
            "currency": "EUR",
            "country": self.country,
            "channel": "pos",
        }
        return json.dumps(event).encode()


def rule(name: str, *, card: Mapping[str, int] | None = None, **more: Any) -> dict[str, Any]:
    when = more.pop("when", {})
    return {"id": name, "reason": name, "when": when | ({"card": card} if card else {}), **more}


def rules(*each: dict[str, Any], **more: Any) -> RuleSet:
    return parse_rules({"rules": list(each), **more})


def counted(
    events: Sequence[Event],
    sets: RuleSet | Sequence[RuleSet],
    *,
    watermarks: Mapping[int, int] | None = None,
    horizon: int | None = None,
    recounting: Callable[..., Recount] = recount_both,
) -> Recount:
    """Recounts the events, each partition in the order in which they are given."""
    batches: dict[tuple[int, int], int] = {}
    records = []
    for event in events:
        offset = sum(one.partition == event.partition for one in events[: len(records)])
        batches[event.partition, offset] = event.batch
        arrival_ms = event.event_us // 1000 + event.later_ms
        records.append((event.partition, offset, arrival_ms, event.value))
    return recounting(
        records,
        events=SETTINGS.events,
        windows=SETTINGS.windows,
        lateness=SETTINGS.lateness,
        rules=sets if not isinstance(sets, RuleSet) else [sets] * (1 + max(e.batch for e in events)),
        card_horizon_seconds=horizon,
        batch_of=lambda partition, offset: batches[partition, offset],
        watermark=lambda partition, offset: (watermarks or {}).get(batches[partition, offset], NO_WATERMARK),
    )


def marked(result: Recount) -> dict[tuple[int, str], Marked]:
    """By partition and transaction id."""
    return {(partition, one.transaction.transaction_id): one for (partition, _), one in result.marked.items()}


def names(result: Recount) -> set[str]:
    return {name for _, name in marked(result)}


def digest_of(event: Event) -> str:
    fields = ("1", event.name, str(event.event_us), event.card, event.merchant, "Food", str(event.amount))
    return sha256("\x1f".join((*fields, "EUR", event.country, "pos")).encode()).hexdigest()
