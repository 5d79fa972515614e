"""Each file of a checkpoint deleted or cut short: harmless, or refused with a remedy, never a lowered row."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bars import Bar
from tests.conftest import NewStack
from tests.e2e import faults, scenario
from tests.stacks import Stack

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1200)]


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
    13, "checkpoint: each file deleted or cut short", target="never a lowered row; refused with a remedy"
)
def test_damaged_checkpoints(new_stack: NewStack, bar: Bar) -> None:
    """Steps: some batches; damage the checkpoint, start, put it back; and so on for every file and damage.

    What the checks before Spark's start cannot see, Spark sees: state that is cut short in its middle.
    """
    stack = new_stack(
        {"FRAUDCTL_SPARK__MAX_OFFSETS_PER_TRIGGER": "200", "FRAUDCTL_SPARK__TRIGGER_SECONDS": "0"}
    )
    stack.up()
    stack.run("produce", "--rate", "1000", "--count", "1000", "--seed", "4")
    stack.run("detect", "--until-caught-up")
    root = faults.checkpoint(stack)
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
    bar(f"{refusals} refused with a remedy, 0 rows touched; harmless ones: diff 0")
