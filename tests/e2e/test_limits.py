"""Bar 21: much at once. Many windows in one batch, a flood of refused records, a disk that fills up."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.load import load
from fraudctl.database.landing import Landing, MicroBatch, Source, WindowRow
from fraudctl.database.lease import Holder
from fraudctl.events.codec import Transaction, encode, rfc3339
from tests.conftest import NewStack
from tests.support import faults, scenario, stacks
from tests.support.bars import Bar
from tests.support.raw_log import CREATE_TIME, Raw, send
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1200)]

MINUTE_MS = 60_000
MIB = 1024 * 1024
CATEGORIES = ("Retail", "Food", "Electronics")
WINDOWS = 200_000
# An event lies in ten windows: one every ten minutes, in each category, reaches them all.
STEPS = -(-WINDOWS // (10 * len(CATEGORIES)))
LANDING_SECONDS = 5.0
BAD_CATEGORIES = 100_000
BIG_MESSAGES = 30
HEAP_MIB = 1024
# Beside the heap: the JVM's code, classes, threads and buffers (about 300 MiB), and the driver's Python with
# a whole batch of refused records as rows, as letters and as parameters of one statement.
BESIDE_HEAP_MIB = 1024


def event(name: str, event_ms: int, category: str) -> bytes:
    return encode(
        Transaction(
            transaction_id=name,
            event_time=rfc3339(event_ms),
            card_id=f"c-{name}",
            merchant_id="m-1",
            category=category,
            amount_minor=100,
            currency="EUR",
            country="DE",
            channel="pos",
        )
    )


def now_ms() -> int:
    return round(time.time() * 1000) // MINUTE_MS * MINUTE_MS


@pytest.mark.bar(21, "200,000 window rows in one batch", target=f"diff 0, landing <= {LANDING_SECONDS:g} s")
def test_two_hundred_thousand_windows_in_one_batch(new_stack: NewStack, bar: Bar) -> None:
    """Steps: transactions of 46 days come in one batch; verify; then the same rows are landed once more, into
    the emptied table, by the landing alone, to see what the database takes.

    Observables: one batch brought all rows; verify's verdict; the time of the landing's transaction.
    """
    stack = new_stack(CREATE_TIME)
    stack.up()
    start_ms = now_ms() - STEPS * 10 * MINUTE_MS
    send(
        stack,
        [
            Raw(place % 3, event(f"{step}-{place}", at, category), at + 1000)
            for step, at in enumerate(range(start_ms, start_ms + STEPS * 10 * MINUTE_MS, 10 * MINUTE_MS))
            for place, category in enumerate(CATEGORIES)
        ],
    )
    stack.run("detect", "--until-caught-up", timeout=300)
    (batch,) = [line for line in scenario.progress(stack) if line["windows"]]
    verified = stack.json("verify-idempotency")
    assert verified["verdict"] == "ok"
    assert batch["windows"] == verified["rows_compared"] >= WINDOWS

    seconds = landing_seconds(stack)
    missed = " (**missed**)" if seconds > LANDING_SECONDS else ""
    bar(
        f"{batch['windows']:,} rows in one batch: {batch['trigger_ms'] / 1000:.1f} s in all,"
        f" {seconds:.1f} s{missed} of it in the database; diff 0"
    )


def landing_seconds(stack: Stack) -> float:
    """How long the landing takes for all rows of the table, once this is emptied."""
    columns = "window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor"
    rows = tuple(
        WindowRow(microseconds(start), microseconds(end), *rest)
        for start, end, *rest in scenario.execute(stack, f"SELECT {columns} FROM fraud.fraud_metrics")
    )
    scenario.execute(stack, "TRUNCATE fraud.fraud_metrics")
    services = stack.json("status", check=False)["services"]["postgres"]
    endpoint = PostgresEndpoint(
        services["host"],
        services["port"],
        services["database"],
        services["user"],
        Path(services["password_file"]),
    )
    landing = Landing(
        endpoint,
        Source("cluster", "topic", "topic-id", "fingerprint"),
        load().settings.landing,
        holder=Holder("a test", ""),
        connect_seconds=5,
        stopping=lambda: False,
        on_retry=pytest.fail,
    )
    batch = MicroBatch(str(uuid4()), 0, {0: (0, 1)}, {0: {"admitted": 1}}, 0, rows, ())
    landing.acquire()
    began = time.monotonic()
    landing.land(batch)
    seconds = time.monotonic() - began
    landing.release()
    landing.close()
    assert scenario.execute(stack, "SELECT count(*) FROM fraud.fraud_metrics") == [(len(rows),)]
    return seconds


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@contextlib.contextmanager
def peak_memory(stack: Stack) -> Iterator[list[int]]:
    """Watch the detector's process group; its largest resident size so far, in bytes, is the one element."""
    peak = [0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            pid = scenario.detector_pid(stack)
            with contextlib.suppress(psutil.Error):
                if pid is not None:
                    leader = psutil.Process(pid)
                    group = [leader, *leader.children(recursive=True)]
                    peak[0] = max(peak[0], sum(process.memory_info().rss for process in group))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


@pytest.mark.bar(
    21,
    "100,000 distinct bad categories, 1 MB messages",
    target=f"all dead letters, no state, <= {HEAP_MIB + BESIDE_HEAP_MIB} MiB",
)
def test_a_flood_of_refused_records_stays_in_bounds(new_stack: NewStack, bar: Bar) -> None:
    """Steps: 100,000 messages, each of a category of its own and longer than what is kept of it, messages of
    the broker's largest size, and a few good ones; detect in batches of the default size.

    Observables: each bad one is a dead letter; the state holds what the good ones need; resident memory of
    the whole process group.
    """
    stack = new_stack({"FRAUDCTL_SPARK__DRIVER_MEMORY": f"{HEAP_MIB}m"})
    stack.up()
    # Long enough that all that is ever kept of a message is kept: the worst batch there can be.
    rest = b" " * load().settings.dead_letters.payload_bytes
    good = [event(f"good-{number}", now_ms(), "Food") for number in range(100)]
    send(stack, flood(rest, good))
    with peak_memory(stack) as peak:
        stack.run("detect", "--until-caught-up", timeout=400)
    batches = scenario.progress(stack)
    verified = stack.json("verify-idempotency")
    assert verified["verdict"] == "ok"
    fates = verified["fates"]
    assert (fates["invalid_category"], fates["malformed"]) == (BAD_CATEGORIES, BIG_MESSAGES)
    assert fates["counted"] == len(good)
    # Each good event once to be recognised again, and its windows: ten a minute.
    assert max(batch["state_rows"] for batch in batches) <= len(good) + 20
    assert max(sum(batch["fates"].values()) for batch in batches) >= BAD_CATEGORIES / 2
    assert 0 < peak[0] <= (HEAP_MIB + BESIDE_HEAP_MIB) * MIB
    bar(
        f"{verified['dead_letters_compared']:,} dead letters, {batches[-1]['state_rows']} state rows,"
        f" peak {peak[0] / MIB:.0f} MiB with a heap of {HEAP_MIB} MiB"
    )


def flood(rest: bytes, good: list[bytes]) -> Iterator[Raw]:
    for number in range(BAD_CATEGORIES):
        yield Raw(number % 3, event(f"b-{number}", now_ms(), f"category-{number}") + rest)
    big = b"x" * (load().settings.kafka.max_message_bytes - 1024)
    for number in range(BIG_MESSAGES):
        yield Raw(number % 3, big)
    for number, value in enumerate(good):
        yield Raw(number % 3, value)


@pytest.fixture
def small_disk() -> Iterator[list[Path]]:
    """Takes folders on which a file system is mounted, and takes them away at the end."""
    mounted: list[Path] = []
    yield mounted
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        stacks.missing(f"a file system of its own cannot be mounted here: {done.stderr.strip()}")


@pytest.mark.bar(21, "the checkpoint's disk is full", target="named, resumed exactly, diff 0")
def test_a_full_disk_is_named_and_what_follows_is_exact(
    new_stack: NewStack, small_disk: list[Path], bar: Bar
) -> None:
    """Steps: the checkpoint lies on a disk of one MiB; detect a backlog of forty batches; make the disk
    larger; detect again.

    Observables: the first run lands some batches, ends by itself and says why; started once more on the full
    disk it says so again; then everything is landed, and verify agrees.
    """
    stack = new_stack(
        {"FRAUDCTL_SPARK__TRIGGER_SECONDS": "0", "FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": "250"}
    )
    stack.up()
    checkpoint = faults.checkpoint(stack)
    checkpoint.mkdir(parents=True)
    mount(checkpoint, "size=1m")
    small_disk.append(checkpoint)
    stack.run("produce", "--rate", "5000", "--count", "10000", "--seed", "21")

    for _attempt in range(2):
        done = stack.run("detect", "--until-caught-up", check=False, timeout=300)
        assert done.returncode == 4, done.stderr
        assert "is full" in done.stderr
        assert "nothing is lost" in done.stderr
        assert "Traceback" not in done.stderr
    landed = scenario.execute(stack, "SELECT count(*), max(batch_id) FROM fraud.batch_ledger")[0]
    assert landed[0] > 0
    subprocess.run(["mount", "-o", "remount,size=256m", str(checkpoint)], check=True)
    stack.run("detect", "--until-caught-up", timeout=300)
    verified = stack.json("verify-idempotency")
    assert (verified["verdict"], verified["events_read"]) == ("ok", 10_000)
    assert verified["batches"] > landed[0]
    bar(f"full after batch {landed[1]}, named twice; then {verified['batches']} batches, diff 0")
