"""Alerts in the database: list the newest ones, or follow new ones as they are written."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from fraudctl.clock import StopFlag, utc_now
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.model import Settings
from fraudctl.database.alerts import AlertFigures, AlertReader, LandedAlert

_POLL_SECONDS = 0.5
# A row becomes visible when its batch commits, a little later than its `landed_at`. The clocks of this
# machine and of the database may differ, too.
_OVERLAP = timedelta(seconds=120)


@dataclass(frozen=True)
class AlertsRequest:
    """A request for alerts.

    `since_seconds` selects alerts written within the last so many seconds, `rule` those that it matched.
    """

    settings: Settings
    postgres: PostgresEndpoint
    since_seconds: float | None
    rule: str | None
    limit: int


@dataclass(frozen=True)
class AlertList:
    """Alerts, the newest first; `reasons` maps a rule set's digest and a rule's id to the rule's text."""

    figures: AlertFigures
    alerts: tuple[LandedAlert, ...]
    reasons: dict[str, dict[str, str]]


def list_alerts(request: AlertsRequest) -> AlertList:
    """Return the newest alerts, with figures and the texts of the rules.

    Raises:
        UnreachableError: the database does not answer.
        ConfigError: the database refuses the connection.
    """
    since = _since(request)
    with _reader(request) as reader:
        alerts = reader.newest(since=since, rule=request.rule, limit=request.limit)
        return AlertList(reader.figures(since=since, rule=request.rule), tuple(alerts), _reasons(reader))


def follow_alerts(
    request: AlertsRequest, *, stop: StopFlag, show: Callable[[LandedAlert, dict[str, str]], None]
) -> int:
    """Show each alert written from now on (or since `since_seconds`) once, until `stop` is set.

    Args:
        request: the selection of alerts; its `limit` is not used.
        stop: ends the function.
        show: is called with each alert and the texts of its rule set's rules, by rule id.

    Returns:
        The number of alerts shown.

    Raises:
        UnreachableError: the database does not answer.
        ConfigError: the database refuses the connection.
    """
    shown: dict[str, datetime] = {}
    since = _since(request)
    count = 0
    with _reader(request) as reader:
        if since is None:
            shown = {alert.digest: alert.landed_at for alert in _recent(reader, request)}
        reasons = _reasons(reader)
        while not stop.is_set:
            for alert in reversed(list(_recent(reader, request, since))):
                if alert.digest in shown:
                    continue
                if alert.rule_set not in reasons:
                    reasons = _reasons(reader)
                show(alert, reasons.get(alert.rule_set, {}))
                shown[alert.digest] = alert.landed_at
                count += 1
            if shown:
                newest = max(shown.values())
                since = newest - _OVERLAP
                shown = {digest: at for digest, at in shown.items() if at >= since}
            time.sleep(_POLL_SECONDS)
    return count


def _recent(
    reader: AlertReader, request: AlertsRequest, since: datetime | None = None
) -> Iterator[LandedAlert]:
    moment = since or utc_now() - _OVERLAP
    yield from reader.newest(since=moment, rule=request.rule, limit=None)


def _since(request: AlertsRequest) -> datetime | None:
    return None if request.since_seconds is None else utc_now() - timedelta(seconds=request.since_seconds)


def _reader(request: AlertsRequest) -> AlertReader:
    return AlertReader(request.postgres, connect_seconds=request.settings.timeouts.connect_seconds)


def _reasons(reader: AlertReader) -> dict[str, dict[str, str]]:
    return {
        digest: {rule["id"]: rule["reason"] for rule in document.get("rules", [])}
        for digest, document in reader.rule_sets().items()
    }
