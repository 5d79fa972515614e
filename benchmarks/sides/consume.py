"""The limit of every Python side: a log is consumed to its end, by one thread, with or without decoding.

    python consume.py --bootstrap-servers … --topic … [--decode]

Prints one JSON object: records, and the seconds from the assignment of its partitions to the last of them.
"""

import argparse
import json
import time

import msgspec
from confluent_kafka import Consumer, TopicPartition

from fraudctl.events.codec import Transaction


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bootstrap-servers", required=True)
    arguments.add_argument("--topic", required=True)
    arguments.add_argument("--decode", action="store_true")
    given = arguments.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": given.bootstrap_servers,
            "group.id": "bench",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 262_144,
        }
    )
    total = 0
    starts = []
    for partition in consumer.list_topics(given.topic, 10).topics[given.topic].partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(given.topic, partition), timeout=10)
        starts.append(TopicPartition(given.topic, partition, low))
        total += high - low
    decode = msgspec.json.Decoder(Transaction).decode
    began = time.monotonic()
    consumer.assign(starts)
    read = broken = 0
    while read < total:
        messages = consumer.consume(10_000, 1.0)
        read += len(messages)
        if given.decode:
            for message in messages:
                try:
                    decode(message.value())
                except (msgspec.DecodeError, UnicodeDecodeError):
                    broken += 1
    seconds = time.monotonic() - began
    consumer.close()
    print(json.dumps({"records": read, "broken": broken, "seconds": seconds}))


if __name__ == "__main__":
    main()
