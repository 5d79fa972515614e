"""Alerts as text."""

import json
from collections.abc import Mapping

from fraudctl.database.alerts import LandedAlert
from fraudctl.operations.alerts import AlertList
from fraudctl.ui import as_json


def listed(result: AlertList) -> str:
    """Return the number of alerts, their delays and the newest of them."""
    figures = result.figures
    lines = [f"alerts: {figures.alerts:,}, {figures.published:,} of them sent on"]
    for name, pair in (
        ("arrival to alert", figures.landing_seconds),
        ("alert to acknowledged message", figures.publishing_seconds),
    ):
        if pair is not None:
            lines.append(f"{name}: p50 {_seconds(pair[0])}, p99 {_seconds(pair[1])}")
    lines += [line(alert, result.reasons.get(alert.rule_set, {})) for alert in result.alerts]
    return "\n".join(lines)


def line(alert: LandedAlert, reasons: Mapping[str, str]) -> str:
    """Return one alert as one line."""
    why = "; ".join(reasons.get(rule, rule) for rule in alert.rules)
    return (
        f"{alert.landed_at.isoformat(timespec='seconds')}  {alert.transaction_id}  card {alert.card_id}"
        f"  {alert.category}  {alert.amount_minor / 100:,.2f} {alert.currency}"
        f"  {alert.country} {alert.channel}  score {alert.score}: {why}"
    )


def json_line(alert: LandedAlert, reasons: Mapping[str, str]) -> str:
    """Return one alert as JSON, without a line break."""
    document = json.loads(as_json.dumps(alert))
    return json.dumps({**document, "reasons": [reasons.get(rule, rule) for rule in alert.rules]})


def _seconds(value: float) -> str:
    return f"{value * 1000:,.0f} ms" if abs(value) < 10 else f"{value:,.1f} s"
