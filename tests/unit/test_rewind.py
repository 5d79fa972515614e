"""A checkpoint taken back: one batch after the other, each as the newest one, none other touched."""

from pathlib import Path

import pytest

from fraudctl.checkpoint.rewind import finished, rewound
from fraudctl.errors import RefusedError


def checkpoint(folder: Path, plans: range, commits: range) -> Path:
    for name, numbers in (("offsets", plans), ("commits", commits)):
        (folder / name).mkdir()
        for number in numbers:
            (folder / name / str(number)).write_text(f"{name} {number}", encoding="utf-8")
            (folder / name / f".{number}.crc").write_text("checksum", encoding="utf-8")
    return folder


def held(folder: Path) -> list[str]:
    return sorted((file.name for file in folder.iterdir()), key=lambda name: (name[0] == ".", name))


def test_the_batch_to_run_is_always_the_newest_and_has_no_commit(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, range(3, 8), range(3, 7))  # batch 7 was planned and never finished
    assert finished(folder) == [3, 4, 5, 6]
    seen = []
    for number in rewound(folder, 2):
        assert held(folder / "offsets")[: number - 2] == [str(plan) for plan in range(3, number + 1)]
        assert (folder / "offsets" / str(number)).read_text(encoding="utf-8") == f"offsets {number}"
        assert (folder / "offsets" / f".{number}.crc").exists()
        assert finished(folder) == list(range(3, number))
        (folder / "commits" / str(number)).touch()  # as Spark does when it has run
        seen.append(number)
    assert seen == [5, 6]
    assert finished(folder) == [3, 4, 5, 6]


def test_more_batches_than_there_are_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, range(2), range(2))
    with pytest.raises(RefusedError, match="holds 2 finished batches, 3 cannot"):
        next(rewound(folder, 3))
    assert finished(folder) == [0, 1]
    with pytest.raises(RefusedError, match="holds 0 finished"):
        next(rewound(tmp_path / "nowhere", 1))
