"""Failpoints: the grammar, what is armed when, and that every name stands for a place in the code."""

import re
import subprocess
import sys

import pytest

from fraudctl import assets
from fraudctl.errors import ConfigError
from fraudctl.failpoints import FAILPOINTS, VARIABLE, Failpoint, parse

REACHED_TWICE = "from fraudctl.failpoints import reach; reach('before_merge'); print('one', flush=True);"
REACHED_TWICE += "reach('after_merge'); reach('before_merge'); print('two', flush=True)"


def test_the_grammar() -> None:
    assert parse("") == ()
    assert parse("before_merge") == (Failpoint("before_merge", 1, "kill"),)
    assert parse("after_commit:3=pause, before_batch=kill") == (
        Failpoint("after_commit", 3, "pause"),
        Failpoint("before_batch", 1, "kill"),
    )


@pytest.mark.parametrize(
    "text", ["before_merg", "before_merge:0", "before_merge:x", "before_merge=stop", "before merge", ":1"]
)
def test_a_mistake_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert VARIABLE in caught.value.detail
    assert caught.value.hint


def test_every_failpoint_is_reached_somewhere_and_every_place_has_a_name() -> None:
    source = "\n".join(file.read_text(encoding="utf-8") for file in assets.PACKAGE.rglob("*.py"))
    assert set(re.findall(r'failpoints\.reach\("(\w+)"\)', source)) == set(FAILPOINTS)


@pytest.mark.parametrize(
    ("armed", "printed", "code"),
    [
        ("", "one\ntwo\n", 0),
        ("before_merge", "", -9),
        ("before_merge:2", "one\n", -9),
        ("after_merge:2", "one\ntwo\n", 0),
    ],
)
def test_the_nth_time_kills_the_whole_group(armed: str, printed: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REACHED_TWICE],
        env={VARIABLE: armed},
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == (printed, code)
