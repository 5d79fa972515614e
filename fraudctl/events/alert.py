"""An alert as it leaves the pipeline: one JSON object in UTF-8 on the topic of alerts."""

from datetime import datetime

import msgspec


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that matched."""

    rule: str
    version: int
    text: str


class AlertMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One alert. `alert_id` is the transaction's digest and the message's key; by it a consumer knows a copy.

    Of two payloads under one transaction id each has a digest, and an alert, of its own.
    """

    schema_version: int = 1
    alert_id: str
    transaction_id: str
    event_time: datetime
    card_id: str
    merchant_id: str
    category: str
    amount_minor: int
    currency: str
    country: str
    channel: str
    score: int
    reasons: list[Reason]
    rule_set: str
    arrival: datetime
    landed_at: datetime


def encode_alert(alert: AlertMessage) -> bytes:
    """The bytes that go into the record's value."""
    return msgspec.json.encode(alert)
