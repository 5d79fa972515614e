"""Send committed alerts to their topic, each one once.

The table is the outbox: an alert is written in its batch's transaction, sent after the commit, and recorded
as published once the broker has acknowledged it. A crash in between leaves an alert that was sent but not
recorded. So before the first sending of a run, and after any failure, the relay looks for its alerts in the
topic. One case remains: a detector that was fenced while it was sending. Then the topic may hold a message
twice, with the same key; a consumer that must not act twice remembers keys.
"""

import threading
from collections.abc import Callable, Sequence

from fraudctl.broker.log import read_whole
from fraudctl.broker.producer import RecordProducer
from fraudctl.broker.topics import end_offsets, ensure_topic, offsets_at
from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.job import AlertsOut
from fraudctl.database.alerts import LandedAlert, Outbox
from fraudctl.errors import FencedError, FraudctlError, UnreachableError
from fraudctl.events.alert import AlertMessage, Reason, encode_alert
from fraudctl.rules.model import parse_rules

_AT_ONCE = 1_000
# The relay is woken by new alerts; this poll finds alerts of an earlier run, and a broker that is back.
_LOOK_SECONDS = 2.0
_DRAIN_SECONDS = 15.0
_SILENCE_SECONDS = 20.0
# Messages are looked up by time, so this allows for different clocks of database and broker.
_CLOCKS_MS = 600_000

Texts = dict[tuple[str, str], Reason]


class AlertRelay:
    """A thread that sends alerts; leaving the context sends the remaining ones."""

    def __init__(
        self,
        database: PostgresEndpoint,
        bootstrap_servers: str,
        out: AlertsOut,
        epoch: int,
        *,
        connect_seconds: float,
        on_trouble: Callable[[str], None],
    ) -> None:
        """Prepare the thread; entering the context starts it.

        Args:
            database: the database and the user to connect as.
            bootstrap_servers: addresses of the broker.
            out: the topic to send to, and the settings of the producer.
            epoch: the epoch of the detector's lease.
            connect_seconds: time limit for connections to database and broker, in seconds.
            on_trouble: called with one line of text about a failure, once until it changes; the relay keeps
                trying.
        """
        self._outbox = Outbox(database, epoch, connect_seconds=connect_seconds)
        self._servers = bootstrap_servers
        self._out = out
        self._connect_seconds = connect_seconds
        self._on_trouble = on_trouble
        self._producer: RecordProducer | None = None
        self._doubtful = True  # something may have been sent but not recorded
        self._texts: Texts = {}
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def __enter__(self) -> "AlertRelay":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Ask the thread to send the remaining alerts, and wait for it for a limited time."""
        self._ending.set()
        self._woken.set()
        self._thread.join(_DRAIN_SECONDS)

    def wake(self) -> None:
        """Tell the thread that there are new alerts."""
        self._woken.set()

    def _run(self) -> None:
        trouble = ""
        last = False
        while not last:
            self._woken.wait(_LOOK_SECONDS)
            self._woken.clear()
            last = self._ending.is_set()
            try:
                self.send_all()
                trouble = ""
            except FencedError:
                break
            except FraudctlError as error:
                line = f"alerts: {error.message}: {error.detail}"
                if line != trouble:
                    self._on_trouble(line)
                trouble = line
        self._outbox.close()

    def send_all(self) -> int:
        """Send every alert that is not recorded as published; return the number of alerts sent.

        Raises:
            FraudctlError: not everything could be sent, or recorded.
        """
        sent = 0
        while waiting := self._outbox.unpublished(_AT_ONCE):
            if self._doubtful:
                if self._producer is None:
                    ensure_topic(self._servers, self._out.topic, timeout_seconds=self._connect_seconds)
                there = self._in_topic(waiting)
                if there:
                    self._outbox.published(there)
                    continue
            self._doubtful = True
            self._send(waiting)
            self._outbox.published([alert.digest for alert in waiting])
            self._doubtful = False
            sent += len(waiting)
        return sent

    def _send(self, alerts: Sequence[LandedAlert]) -> None:
        if self._producer is None:
            self._producer = RecordProducer(self._servers, self._out.topic, self._out.producer)
        before = self._producer.deliveries
        for alert in alerts:
            self._producer.send(alert.digest.encode(), self._message(alert))
        account = self._producer.settle()
        if account.acknowledged - before.acknowledged != len(alerts):
            error = self._producer.last_error or ", ".join(account.errors)
            self._producer = None
            raise UnreachableError("the broker did not acknowledge every alert", detail=error)

    def _in_topic(self, alerts: Sequence[LandedAlert]) -> list[str]:
        """Return the digests of these alerts that the topic holds already.

        A message cannot be older than its alert in the table, so only later records are read.
        """
        topic = self._out.topic.topic
        oldest_ms = round(min(alert.landed_at.timestamp() for alert in alerts) * 1000) - _CLOCKS_MS
        starts = offsets_at(self._servers, topic, oldest_ms, timeout_seconds=self._connect_seconds)
        held = end_offsets(self._servers, topic, timeout_seconds=self._connect_seconds)
        ranges = {
            number: (max(start, held[number][0]), held[number][1])
            for number, start in starts.items()
            if start is not None
        }
        wanted = {alert.digest for alert in alerts}
        found = set()
        for record in read_whole(self._servers, topic, ranges, timeout_seconds=_SILENCE_SECONDS):
            key = (record.key or b"").decode("ascii", "replace")
            if key in wanted:
                found.add(key)
        return sorted(found)

    def _message(self, alert: LandedAlert) -> bytes:
        return encode_alert(
            AlertMessage(
                alert_id=alert.digest,
                transaction_id=alert.transaction_id,
                event_time=alert.event_time,
                card_id=alert.card_id,
                merchant_id=alert.merchant_id,
                category=alert.category,
                amount_minor=alert.amount_minor,
                currency=alert.currency,
                country=alert.country,
                channel=alert.channel,
                score=alert.score,
                reasons=[self._reason(alert.rule_set, rule) for rule in alert.rules],
                rule_set=alert.rule_set,
                arrival=alert.arrival,
                landed_at=alert.landed_at,
            )
        )

    def _reason(self, rule_set: str, rule: str) -> Reason:
        if (rule_set, rule) not in self._texts:
            self._texts = {
                (digest, one.id): Reason(rule=one.id, version=one.version, text=one.reason)
                for digest, document in self._outbox.rule_sets().items()
                for one in parse_rules(document).rules
            }
        return self._texts[rule_set, rule]
