"""Dead letters are compared with what the recount itself would have kept."""

from dataclasses import replace
from hashlib import sha256

import pytest

from fraudctl.recount.compare import Place
from fraudctl.recount.letters import Letter, LetterCheck, RejectedRecord, compare_letters, kept

VALUE = b'{"pan": "4111 1111 1111 1111", "note": "and more"}'
MASKED = b'{"pan": "4111 11** **** 1111", "note": "and more"}'
PLACE = ("t", 0, 7)
ARRIVAL_MS = 1_773_144_002_001


def letter(payload: bytes = MASKED, *, purged: bool = False) -> Letter:
    digest = sha256(payload).digest()
    return Letter("malformed", ARRIVAL_MS * 1000, len(VALUE), len(payload), digest, purged)


def checked(stored: Letter, value: bytes | None = VALUE, limit: int = 4096) -> LetterCheck:
    check = LetterCheck(limit)
    compared = compare_letters([rejected(value)], [(PLACE, stored)], check)
    assert (compared.number, compared.differences) == (1, [])
    return check


def rejected(value: bytes | None = VALUE, place: Place = PLACE) -> RejectedRecord:
    return RejectedRecord(place, "malformed", ARRIVAL_MS, value)


def columns(check: LetterCheck) -> list[str]:
    return [found.column for found in check.differences()]


@pytest.mark.parametrize("limit", [0, 9, 16, 20, 30, 4096])
def test_what_is_kept_is_masked_before_it_is_cut(limit: int) -> None:
    assert kept(VALUE, limit) == MASKED[:limit]
    check = checked(letter(MASKED[:limit]), limit=limit)
    assert (columns(check), check.cut_elsewhere) == ([], [])


def test_a_number_is_seen_only_as_far_as_the_detector_looks() -> None:
    assert kept(b"9" * 200, 100) == b"9" * 6 + b"*" * 94
    assert kept(b"9" * 10, 4) == b"9" * 4
    assert kept(None, 10) == kept(b"", 10) == b""
    assert kept(b"\xff\x004111111111111111\xc3", 99) == b"\xff\x00411111******1111\xc3"


def test_every_column_is_compared() -> None:
    sound = letter()
    assert columns(checked(sound)) == []
    assert columns(checked(replace(sound, arrival_us=sound.arrival_us + 1))) == ["arrival"]
    assert columns(checked(replace(sound, whole_bytes=sound.whole_bytes + 1))) == ["payload_bytes"]
    assert columns(checked(letter(MASKED.replace(b"more", b"less")))) == ["payload"]
    assert columns(checked(letter(MASKED + b"x"))) == ["payload"]
    assert columns(checked(letter(VALUE))) == ["payload"], "what was never masked is no payload"


def test_a_difference_shows_no_payload() -> None:
    (found,) = checked(letter(VALUE)).differences()
    assert (found.kind, found.topic, found.partition, found.offset) == ("differs", "t", 0, 7)
    assert found.expected is not None and found.expected.startswith(f"{len(MASKED)} bytes with SHA-256 ")
    assert found.stored is not None and found.stored.startswith(f"{len(VALUE)} bytes with SHA-256 ")


def test_a_purged_letter_is_empty_and_agrees() -> None:
    assert columns(checked(letter(b"", purged=True))) == []
    assert columns(checked(replace(letter(b"", purged=True), arrival_us=0))) == ["arrival"]
    assert columns(checked(letter(b"something", purged=True))) == ["payload"]


def test_a_letter_kept_under_another_limit_is_told_apart() -> None:
    check = checked(letter(MASKED[:20]), limit=30)
    assert (columns(check), check.cut_elsewhere) == ([], [PLACE])
    assert columns(checked(letter(MASKED[:20] + b"x"), limit=30)) == ["payload"]


def test_a_letter_that_is_not_there_is_no_matter_of_its_columns() -> None:
    check = LetterCheck(10)
    assert compare_letters([rejected()], [], check).number == 1
    assert list(check.differences()) == []


def test_letters_are_compared_side_by_side_in_the_order_of_the_log() -> None:
    ours = [rejected(place=("t", 0, offset)) for offset in (1, 2, 5)]
    ours += [rejected(place=("t", 10, 0))]
    theirs = [(("t", 0, offset), letter()) for offset in (0, 2)]
    theirs += [
        (("t", 0, 5), replace(letter(), reason="late")),
        (("t", 2, 9), letter()),
        (("u", 0, 0), letter()),
    ]
    check = LetterCheck(4096)
    compared = compare_letters(ours, theirs, check)
    assert [(row.kind, row.topic, row.partition, row.offset) for row in compared.differences] == [
        ("extra", "t", 0, 0),
        ("missing", "t", 0, 1),
        ("differs", "t", 0, 5),
        ("extra", "t", 2, 9),
        ("missing", "t", 10, 0),
        ("extra", "u", 0, 0),
    ]
    assert (compared.number, list(check.differences())) == (7, [])


def test_masking_gives_the_same_bytes_however_much_is_kept() -> None:
    """A flood keeps 256 bytes of each: cut after masking, wherever the number lies, it is still a begin."""
    for before in range(200, 260):
        value = b"x" * before + b"4111111111111111" * 8 + b"y" * 5000
        whole = kept(value, 4096)
        assert kept(value, 256) == whole[:256]
