"""Each file of a checkpoint deleted or cut short: harmless, or refused with a remedy, never a lowered row."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import NewStack
from tests.support import faults, scenario
from tests.support.bars import Bar
from tests.support.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1200)]

METRICS = (
    "SELECT window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor"
    " FROM fraud.fraud_metrics ORDER BY 1, 2, 3"
)


def newest(folder: Path) -> int:
    return max(int(file.name) for file in folder.iterdir() if file.name.isdigit())


def needed(root: Path) -> list[str]:
    """What Spark's next start reads, by the rules of its write-ahead log."""
    plan = newest(root / "offsets")
    assert newest(root / "commits") == plan
    stores = sorted(str(store.relative_to(root)) for store in root.glob("state/[0-9]*/[0-9]*"))
    assert len(stores) == 4
    return [
        "metadata",
        f"offsets/{plan}",
        f"offsets/{plan - 1}",
        *(f"{store}/{plan + 1}.delta" for store in stores),
        *(f"{store}/1.delta" for store in stores),
        "state/0/_metadata/metadata",
        "state/1/_metadata/metadata",
    ]


def delete(file: Path) -> None:
    file.unlink()
    file.with_name(f".{file.name}.crc").unlink()


def empty(file: Path) -> None:
    """As a power cut leaves a file whose content had not reached the disk."""
    file.write_bytes(b"")


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    file.with_name(f".{file.name}.crc").unlink()


def is_refused(stack: Stack, *, code: int, says: str, arguments: tuple[str, ...]) -> None:
    done = stack.run("detect", *arguments, check=False)
    assert done.returncode == code, f"{says}: {done.stderr}"
    assert says in done.stderr
    assert "fraudctl replay --rebuild" in done.stderr
    assert "Traceback" not in done.stderr
    assert "\tat " not in done.stderr


@pytest.mark.bar(
    13,
    "checkpoint: each file deleted or cut short, an old copy, all of it gone",
    target="never a lowered row; refused with a remedy; rebuild: diff 0",
)
def test_damaged_checkpoints(new_stack: NewStack, bar: Bar) -> None:
    """Steps: some batches; damage the checkpoint, start, put it back; and so on for every file and damage.
    At last it is deleted for good, and everything is rebuilt from the log.

    What the checks before Spark's start cannot see, Spark sees: state that is cut short in its middle.
    """
    stack = new_stack(
        {"FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": "200", "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0"}
    )
    stack.up()
    root = faults.checkpoint(stack)
    older = root.with_name("older")
    for seed in ("3", "4"):
        stack.run("produce", "--rate", "1000", "--count", "500", "--seed", seed)
        stack.run("detect", "--until-caught-up")
        if seed == "3":
            shutil.copytree(root, older)
    if newest(root / "offsets") > newest(root / "commits"):
        delete(root / "offsets" / str(newest(root / "offsets")))  # planned when the stop came, and never run
    kept = root.with_name("kept")
    shutil.copytree(root, kept)
    before = faults.fingerprint(stack)
    refusals = 0

    def damaged(name: str, how: Callable[[Path], None], code: int, says: str, *arguments: str) -> None:
        nonlocal refusals
        how(root / name)
        is_refused(stack, code=code, says=says, arguments=arguments)
        shutil.copytree(kept, root, dirs_exist_ok=True)
        refusals += 1

    for name in needed(root):
        for how in (delete, empty):
            damaged(name, how, 3, name, "--dry-run")
    damaged(f"commits/{newest(root / 'commits')}", empty, 3, "commits/", "--dry-run")
    damaged("", shutil.rmtree, 3, "checkpoint is gone", "--dry-run")

    def restore_older(folder: Path) -> None:
        shutil.rmtree(folder)
        shutil.copytree(older, folder)

    damaged("", restore_older, 3, "older copy", "--dry-run")
    stack.run("produce", "--rate", "1000", "--count", "100", "--seed", "5")
    damaged(needed(root)[3], halve, 6, "checkpoint is damaged", "--until-caught-up")
    assert faults.fingerprint(stack) == before

    for name in ("offsets/0", "sources/0/0"):
        delete(root / name)
    shutil.rmtree(root / "commits")
    for checksum in root.rglob(".*.crc"):
        checksum.unlink()
    stack.run("detect", "--until-caught-up")
    verified = stack.json("verify-idempotency")
    assert (verified["verdict"], verified["events_read"]) == ("ok", 1100)
    assert scenario.counted(stack) > 0

    shutil.rmtree(root)
    is_refused(stack, code=3, says="checkpoint is gone", arguments=("--until-caught-up",))
    rows = scenario.execute(stack, METRICS)
    assert stack.json("replay", "--rebuild", "--apply", "--yes")["applied"]
    assert scenario.execute(stack, METRICS) == rows
    stack.run("produce", "--rate", "1000", "--count", "100", "--seed", "6")
    stack.run("detect", "--until-caught-up")
    verified = stack.json("verify-idempotency")
    assert (verified["verdict"], verified["events_read"]) == ("ok", 1200)
    bar(f"{refusals + 1} refused with a remedy, 0 rows touched; harmless ones and the rebuild: diff 0")


def overwrite(file: Path) -> None:
    """As long as before, and something else in its middle."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = bytes(255 - byte for byte in content[middle : middle + 8])
    file.write_bytes(content)


@pytest.mark.slow
@pytest.mark.bar(
    13,
    "state in RocksDB: each file deleted or cut short",
    target="never a lowered row; refused with a remedy",
)
def test_damaged_state_in_rocksdb(new_stack: NewStack, bar: Bar) -> None:
    """Steps: as above, with the other state store: its archives, and the files that these share."""
    stack = new_stack(
        {
            "FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": "200",
            "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0",
            "FRAUDCTL_SPARK__STATE_STORE": "rocksdb",
        }
    )
    stack.up()
    stack.run("produce", "--rate", "1000", "--count", "1000", "--seed", "4")
    stack.run("detect", "--until-caught-up")
    root = faults.checkpoint(stack)
    if newest(root / "offsets") > newest(root / "commits"):
        delete(root / "offsets" / str(newest(root / "offsets")))
    kept = root.with_name("kept")
    shutil.copytree(root, kept)
    before = faults.fingerprint(stack)
    version = newest(root / "commits") + 1
    archives = sorted(root.glob(f"state/[0-9]*/[0-9]*/{version}.zip"))
    shared = [newest_shared(archive) for archive in archives]
    assert len(archives) == 4
    refusals = 0
    for file in [*archives, *shared]:
        for how in (delete, empty, halve):
            how(file)
            is_refused(stack, code=3, says=file.name, arguments=("--dry-run",))
            shutil.copytree(kept, root, dirs_exist_ok=True)
            refusals += 1
    stack.run("produce", "--rate", "1000", "--count", "100", "--seed", "5")
    overwrite(shared[0])
    is_refused(stack, code=6, says="checkpoint is damaged", arguments=("--until-caught-up",))
    assert faults.fingerprint(stack) == before

    shutil.copytree(kept, root, dirs_exist_ok=True)
    stack.run("detect", "--until-caught-up")
    verified = stack.json("verify-idempotency")
    assert (verified["verdict"], verified["events_read"]) == ("ok", 1100)
    bar(f"{refusals + 1} refused with a remedy, 0 rows touched; put back: diff 0")


def newest_shared(archive: Path) -> Path:
    """One of the files that a state's archive does not hold itself."""
    with zipfile.ZipFile(archive) as opened:
        metadata = json.loads(opened.read("metadata").decode().split("\n", 1)[1])
    return archive.parent / "SSTs" / str(metadata["sstFiles"][-1]["dfsSstFileName"])
