"""A naive producer: a loop that hands ready lines to confluent-kafka, and flushes at the end.

python naive_producer.py --bootstrap-servers … --topic … --payloads FILE --count N --settings JSON
"""

import argparse
import itertools
import json
import re
import sys
from pathlib import Path

from confluent_kafka import Producer

_CARD = re.compile(rb'"card_id":"([^"]+)"')


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap-servers", "topic", "payloads", "settings"):
        arguments.add_argument(f"--{name}", required=True)
    arguments.add_argument("--count", type=int, required=True)
    given = arguments.parse_args()
    producer = Producer({"bootstrap.servers": given.bootstrap_servers, **json.loads(given.settings)})
    ready = []
    for line in Path(given.payloads).read_bytes().splitlines():
        card = _CARD.search(line)
        ready.append((card[1] if card else b"", line))
    for key, value in itertools.islice(itertools.cycle(ready), given.count):
        while True:
            try:
                producer.produce(given.topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(60):
        sys.exit("not every record was acknowledged")


if __name__ == "__main__":
    main()
