"""Alerts in the database: list the newest ones, or follow new ones as they are written."""

import difflib
import time
from collections.abc import Callable, Iterator, Mapping
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
    """Alerts, the newest first; `reasons` maps a rule set's digest and a rule's id to the rule's text.

    `note` says that no rule set has the rule that was asked for; else it is empty.
    """

    figures: AlertFigures
    alerts: tuple[LandedAlert, ...]
    reasons: dict[str, dict[str, str]]
    note: str = ""


def list_alerts(request: AlertsRequest) -> AlertList:
    """Return the newest alerts, with figures and the texts of the rules.

    Raises:
        UnreachableError: the database does not answer.
        ConfigError: the database refuses the connection.
    """
    since = _since(request)
    with _reader(request) as reader:
        alerts = reader.newest(since=since, rule=request.rule, limit=request.limit)
        reasons = _reasons(reader)
        figures = reader.figures(since=since, rule=request.rule)
        return AlertList(figures, tuple(alerts), reasons, unknown_rule(request.rule, reasons))


def unknown_rule(rule: str | None, reasons: Mapping[str, Mapping[str, str]]) -> str:
    """Return a note that no recorded rule set has this rule; empty where one has it, or none was asked for.

    Args:
        rule: the id that was asked for; None for all rules.
        reasons: the text of each rule by rule set and id.
    """
    known = sorted({name for rules in reasons.values() for name in rules})
    if rule is None or rule in known:
        return ""
    if not known:
        return f"there is no rule {rule!r}: no rules have been active yet"
    near = difflib.get_close_matches(rule, known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"the rules are {', '.join(known)}"
    return f"no rule set, active or earlier, has a rule {rule!r}; {meant}"


def follow_alerts(
    request: AlertsRequest,
    *,
    stop: StopFlag,
    show: Callable[[LandedAlert, dict[str, str]], None],
    tell: Callable[[str], None] = lambda _note: None,
) -> int:
    """Show each alert written from now on (or since `since_seconds`) once, until `stop` is set.

    Args:
        request: the selection of alerts; its `limit` is not used.
        stop: ends the function.
        show: is called with each alert and the texts of its rule set's rules, by rule id.

    Returns:
        The number of alerts shown.

    Args:
        tell: takes a note about the request, before the first alert.

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
        if note := unknown_rule(request.rule, reasons):
            tell(note)
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
