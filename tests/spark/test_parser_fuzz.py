"""The parser in the JVM against the recount's: one reason for every message, one value for every field.

The messages are the same in every run: the systematic ones are all changes of a kind, the drawn ones follow a
seed. A difference is shown with the message's bytes.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from fraudctl.config.job import DetectorJob
from fraudctl.config.model import EventsSettings, LatenessSettings
from fraudctl.detector.intake import Intake
from fraudctl.events.schema import FUTURE, LATE, REASONS
from fraudctl.recount.judgement import judge
from fraudctl.recount.parse import Rejected, parser
from fraudctl.recount.raised import transaction_digest
from tests.support import messages_drawn
from tests.support.streams import RECORDS, RULES, job

pytestmark = pytest.mark.spark

FRAME = 20_000
ADMITTED = "admitted"
ARRIVAL_US = 1_773_144_000_000_000
# No message is late or in the future: what the parser takes is admitted.
ANY_TIME = LatenessSettings(late_seconds=9_000_000_000, future_seconds=9_000_000_000, slack_seconds=1)
# Composed characters, one beyond the basic plane, and what JSON escapes.
_MANY = 'Caf\u00e9 \u65e5\u7528 \U0001f4b3 \u00c5ngstr\u00f6m \uac00 \u0416 \u20ac a b " \\ / Retail retail'
MANY_CATEGORIES = tuple(_MANY.split())


def settings(base: EventsSettings) -> list[EventsSettings]:
    """The default ones; many names and short messages; another currency and few names."""
    return [
        base,
        base.model_copy(update={"categories": MANY_CATEGORIES, "max_bytes": 900}),
        base.model_copy(update={"categories": ("\U0001f468", "\u00e9"), "currency": "JPY"}),
    ]


def messages(events: EventsSettings, seed: str) -> Iterator[bytes]:
    """All systematic changes, then drawn ones without end."""
    yield from messages_drawn.systematic(events)
    chance = random.Random(seed)
    while True:
        yield messages_drawn.drawn(chance, events)


def expected(values: Sequence[bytes], events: EventsSettings) -> list[object]:
    """The reason of each message; of an admitted one its digest, all fields, and whether it is flagged."""
    parse, verdict = parser(events), judge(RULES)
    result: list[object] = []
    for value in values:
        parsed = parse(value)
        if isinstance(parsed, Rejected):
            result.append(parsed.reason)
        else:
            result.append((transaction_digest(parsed), *parsed[1:], verdict(parsed).flagged))
    return result


def found(spark: SparkSession, folder: Path, the_job: DetectorJob, values: Sequence[bytes]) -> list[object]:
    """The same by the detector, in one job."""
    numbers = range(len(values))
    table = pa.table(
        {
            "value": pa.array(values, pa.binary()),
            "partition": pa.array([number % 3 for number in numbers], pa.int32()),
            "offset": pa.array(numbers, pa.int64()),
            "timestamp": pa.array([ARRIVAL_US + number for number in numbers], pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(table, folder / "records.parquet")
    intake = Intake(spark, the_job, RULES)
    admitted = intake.admitted(spark.read.schema(RECORDS).parquet(str(folder / "records.parquet")))
    narrow = admitted.withColumns({"event_time": F.unix_micros("event_time"), "digest": F.hex("digest")})
    rows = narrow.toArrow().to_pylist()
    result: list[object] = [None] * len(values)
    for letter in intake.rejected():
        assert result[letter.offset] is None, "a record is rejected twice"
        result[letter.offset] = letter.reason
    if the_job.card_horizon_seconds == 0:  # no place for a number among the columns: the order has to do
        places = [number for number in numbers if result[number] is None]
        assert len(places) == len(rows), "a record is neither admitted nor rejected"
    for row_number, row in enumerate(rows):
        digest, event_us = row["digest"].lower(), row["event_time"]
        if the_job.card_horizon_seconds == 0:
            result[places[row_number]] = (
                digest,
                event_us,
                row["category"],
                row["amount_minor"],
                row["flagged"],
            )
            continue
        place = row["arrival_us"] - ARRIVAL_US
        assert row["partition"] == place % 3
        assert result[place] is None, "a record is admitted twice"
        names = ("card_id", "merchant_id", "category", "amount_minor", "currency", "country", "channel")
        result[place] = (
            digest,
            row["transaction_id"],
            event_us,
            *(row[name] for name in names),
            row["flagged"],
        )
    brought = intake.partitions()
    assert {number: one.records for number, one in brought.items()} == Counter(
        number % 3 for number in numbers
    )
    return result


def narrowed(fields: object) -> object:
    """Of an admitted record what the detector has where no rule may look back at a card."""
    if not isinstance(fields, tuple):
        return fields
    digest, _, event_us, _, _, category, amount_minor, *_, flagged = fields
    return digest, event_us, category, amount_minor, flagged


def agree(spark: SparkSession, folder: Path, events: EventsSettings, seed: str, number: int) -> Counter[str]:
    """How many of so many messages got which outcome, which is the same by both."""
    base = job(folder).model_copy(update={"events": events, "lateness": ANY_TIME})
    outcomes: Counter[str] = Counter()
    source = messages(events, seed)
    for turn in range(number // FRAME):
        values = list(islice(source, FRAME))
        the_job = base.model_copy(update={"card_horizon_seconds": 600 if turn % 2 == 0 else 0})
        wanted = expected(values, events)
        outcomes.update(ADMITTED if isinstance(one, tuple) else str(one) for one in wanted)
        if the_job.card_horizon_seconds == 0:
            wanted = [narrowed(one) for one in wanted]
        different = [
            (value, f"expected {one}", f"found {other}")
            for value, one, other in zip(values, wanted, found(spark, folder, the_job, values), strict=True)
            if one != other
        ]
        assert not different, f"{len(different)} of {seed}, frame {turn}: {different[:5]}"
    # It was worth it: each reason was there, and a good part was admitted.
    assert set(outcomes) == {ADMITTED, *REASONS} - {LATE, FUTURE}
    assert outcomes[ADMITTED] > number / 20
    return outcomes


@pytest.mark.parametrize("number", range(3))
def test_both_parsers_agree_on_every_message(spark: SparkSession, tmp_path: Path, number: int) -> None:
    events = settings(job(tmp_path).events)[number]
    outcomes = agree(spark, tmp_path, events, f"settings {number}", 2 * FRAME)
    assert outcomes.total() == 2 * FRAME


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(3))
def test_both_parsers_agree_on_a_million_messages(spark: SparkSession, tmp_path: Path, number: int) -> None:
    events = settings(job(tmp_path).events)[number]
    outcomes = agree(spark, tmp_path, events, f"many, settings {number}", 17 * FRAME)
    assert outcomes.total() >= 1_000_000 / 3
