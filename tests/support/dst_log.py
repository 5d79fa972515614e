"""Fill a topic with two nights on which clocks were changed: a program, so that it has a zone of its own.

    TZ=Asia/Kathmandu python -m tests.support.dst_log BOOTSTRAP_SERVERS

Prints what it was: a hash of all messages, how many had which fate, and what this process takes for local
time, so that a zone which the machine does not know is noticed.
"""

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from fraudctl.config.load import load
from fraudctl.simulator.arrivals import Arrivals, Faults
from tests.support.raw_log import Raw, send_to

SEED = 16
PARTITIONS = 3
PER_MINUTE = 30
MINUTES = 120
FAULTS = Faults(duplicates=0.05, out_of_order=0.1, late=0.02, future=0.01, malformed=0.01)
# The moments of change: on Lord Howe half an hour is left out, in New York an hour is repeated.
NIGHTS = {
    "Lord Howe, forward": datetime(2024, 10, 5, 15, 30, tzinfo=UTC),
    "New York, back": datetime(2024, 11, 3, 6, 0, tzinfo=UTC),
}


def night(change: datetime) -> Arrivals:
    """An hour before the change and an hour after it."""
    settings = load().settings
    start_ms = round(change.timestamp() * 1000) - MINUTES // 2 * 60_000
    plan = (PER_MINUTE,) * MINUTES
    return Arrivals(
        settings.producer, settings.events, settings.lateness, FAULTS, SEED + change.month, start_ms, plan
    )


def main(bootstrap_servers: str) -> None:
    digest = hashlib.sha256()
    fates: Counter[str] = Counter()

    def records() -> Iterator[Raw]:
        for change in NIGHTS.values():
            for number, message in enumerate(night(change)):
                digest.update(message.value)
                fates[message.fate] += 1
                yield Raw(number % PARTITIONS, message.value, message.arrival_ms, message.key)

    send_to(bootstrap_servers, records())
    local = [time.localtime(change.timestamp()).tm_gmtoff for change in NIGHTS.values()]
    json.dump({"sha256": digest.hexdigest(), "fates": fates, "utc_offsets": local}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
