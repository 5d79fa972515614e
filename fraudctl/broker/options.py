"""Translation of typed settings into librdkafka's keys; no other module does this.

librdkafka writes its log lines to stderr unless it is given a logger. Every client gets one: whoever
configures Python logging sees the lines, and they never mix with a command's output.
"""

import logging
from typing import Any

from fraudctl.config.model import ProducerSettings

Options = dict[str, Any]

LOGGER = logging.getLogger("fraudctl.broker.librdkafka")
# Without a handler Python would print warnings to stderr as a last resort.
LOGGER.addHandler(logging.NullHandler())


def client(bootstrap_servers: str) -> Options:
    """Return the options of every client: where to connect, and short waits between attempts to reconnect."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "client.id": "fraudctl",
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "logger": LOGGER,
    }


def reader(bootstrap_servers: str) -> Options:
    """Return the options of a consumer that is given its offsets, and commits none.

    It is told where each partition ends.
    """
    return {
        **client(bootstrap_servers),
        # librdkafka requires a group name even when no group is joined.
        "group.id": "fraudctl-reader",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        # An offset that is gone is an error, not a reason to begin somewhere else.
        "auto.offset.reset": "error",
        # The detector's source reads this way too: both must see the same records.
        "isolation.level": "read_uncommitted",
        "fetch.wait.max.ms": 100,
        # The default waits a whole second after the local queue was full.
        "fetch.queue.backoff.ms": 5,
        "queued.max.messages.kbytes": 32_768,
    }


def producer(bootstrap_servers: str, settings: ProducerSettings, *, max_message_bytes: int) -> Options:
    """Return the options of an idempotent producer.

    Acknowledged means written once, by every in-sync replica, in order.
    """
    return {
        **client(bootstrap_servers),
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": settings.linger_ms,
        "delivery.timeout.ms": round(settings.delivery_timeout_seconds * 1000),
        "message.max.bytes": max_message_bytes,
        "compression.type": "lz4",
        # Java's partitioner, so that a card keeps its partition whoever produces.
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": 100_000,
    }
