"""The proxy of the fault tests finds a COMMIT wherever the bytes are split, and nothing else."""

import struct

import pytest

from tests.support.tcp_proxy import ClientMessages, is_commit

SSL = struct.pack("!II", 8, 80877103)
STARTUP = struct.pack("!II", 17, 196608) + b"user\0me\0\0"


def query(text: str) -> bytes:
    return b"Q" + struct.pack("!I", len(text) + 5) + text.encode() + b"\0"


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
def test_messages_come_out_whole_however_they_come_in(size: int) -> None:
    sent = [SSL, STARTUP, query("BEGIN"), query("COMMIT")]
    stream = b"".join(sent)
    messages = ClientMessages()
    found = [
        message
        for first in range(0, len(stream), size)
        for message in messages.feed(stream[first : first + size])
    ]
    assert found == sent
    assert [is_commit(message) for message in found] == [False, False, False, True]


def test_text_that_only_speaks_of_a_commit_is_none() -> None:
    assert not is_commit(query("COMMIT PREPARED 'x'"))
    assert not is_commit(query("SELECT 'COMMIT'"))
    assert not is_commit(b"d" + query("COMMIT")[1:])
    assert is_commit(b"P" + struct.pack("!I", 14) + b"\0COMMIT\0\0\0")
