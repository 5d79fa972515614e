"""The format of an alert on the alerts topic: one JSON object in UTF-8."""

from datetime import datetime

import msgspec


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that matched: its id, version and text."""

    rule: str
    version: int
    text: str


class AlertMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as it is sent.

    `alert_id` is the transaction's digest and the message's key; a consumer recognises a copy by it. Two
    payloads under one transaction id have two digests, and so two alerts.
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
    """Return the bytes of the record's value."""
    return msgspec.json.encode(alert)
