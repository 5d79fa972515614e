"""What is kept of a refused message holds no card number, however it is written and wherever it is cut."""

import random
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from fraudctl.events.card_numbers import mask
from tests.support.streams import job, taken_in

pytestmark = pytest.mark.spark

CASES = [
    (b"4111111111111111", b"411111******1111"),
    (b'{"pan":"4111 1111 1111 1111"}', b'{"pan":"4111 11** **** 1111"}'),
    (b"4111-1111-1111-1111", b"4111-11**-****-1111"),
    (b"378282246310005 and 5555555555554444", b"378282*****0005 and 555555******4444"),
    (b"3782 822463 10005", b"3782 82**** *0005"),
    (b"4222222222222", b"422222***2222"),
    (b"6304000000000000000", b"630400*********0000"),
    (b'"amount_minor":4111111111111111.5', b'"amount_minor":411111******1111.5'),
    (b"x4111111111111111y", b"x411111******1111y"),
    # A digit or a date before it makes the run longer, and does not let it escape.
    (b"2026-11-24 4111111111111111", b"2026-11-** ************1111"),
    (b"4111111111111111 5555555555554444", b"411111********** ************4444"),
    # Not UTF-8, NUL, umlauts: bytes around it stay as they are.
    (b"\xff\xfe\x004111111111111111\x00\xc3\x28", b"\xff\xfe\x00411111******1111\x00\xc3\x28"),
    ("ü4111111111111111€".encode(), "ü411111******1111€".encode()),
    # Twelve digits, two blanks between groups, other separators: no card number.
    (b"411111111111", b"411111111111"),
    (b"4111  1111  1111  1111", b"4111  1111  1111  1111"),
    (b"2026-11-24T06:59:50", b"2026-11-24T06:59:50"),
    (b"$1 \\$2 \\", b"$1 \\$2 \\"),
    (b"", b""),
]


def kept(spark: SparkSession, tmp_path: Path, values: list[bytes]) -> list[bytes]:
    """What is kept of these messages, none of which is an event."""
    _, content = taken_in(
        spark, job(tmp_path), [(value, 0, offset, 0) for offset, value in enumerate(values)]
    )
    payloads = {letter.offset: letter.payload for letter in content.rejected}
    return [payloads[offset] for offset in range(len(values))]


def test_only_the_first_six_and_the_last_four_digits_remain(spark: SparkSession, tmp_path: Path) -> None:
    assert kept(spark, tmp_path, [given for given, _ in CASES]) == [expected for _, expected in CASES]


@pytest.mark.parametrize("payload_bytes", [0, 6, 7, 15, 16, 20, 4096])
def test_a_number_is_masked_before_it_is_cut(spark: SparkSession, tmp_path: Path, payload_bytes: int) -> None:
    value = b"4111 1111 1111 1111, and more"
    the_job = job(tmp_path, dead_letters__payload_bytes=payload_bytes)
    _, content = taken_in(spark, the_job, [(value, 0, 7, 0)])
    (letter,) = content.rejected
    assert letter.reason == "malformed"
    assert letter.payload == b"4111 11** **** 1111, and more"[:payload_bytes]
    assert letter.payload_bytes == len(value)


def test_spark_and_the_explanations_mask_alike(spark: SparkSession, tmp_path: Path) -> None:
    """Two ways to do it, one for rows and one for words: random digits, blanks, hyphens and letters."""
    chance = random.Random(20_261_124)
    texts = ["".join(chance.choices("0123456789012345678901234567 -x", k=60)) for _ in range(3_000)]
    expected = [mask(text).encode() for text in texts]
    assert kept(spark, tmp_path, [text.encode() for text in texts]) == expected
    assert sum(b"*" in each for each in expected) > 1_000
