"""What is said while a long log is recounted: how much, how fast, how long still."""

import pytest

from fraudctl.operations.verify.recount_log import Progress
from fraudctl.ui.text import verify


@pytest.mark.parametrize(
    ("now", "seconds", "text"),
    [
        (Progress(0, 0), 0.0, "0 of 0 offsets"),
        (Progress(0, 2_000_000), 3.0, "0 of 2,000,000 offsets"),
        (Progress(500_000, 2_000_000), 4.0, "500,000 of 2,000,000 offsets, 125,000/s, 12 s left"),
        (Progress(10_000, 2_000_000), 1.0, "10,000 of 2,000,000 offsets, 10,000/s, 3 min 19 s left"),
        (Progress(10_000, 100_000_000), 1.0, "10,000 of 100,000,000 offsets, 10,000/s, 2 h 46 min left"),
        (Progress(2_000_000, 2_000_000), 4.0, "2,000,000 of 2,000,000 offsets, 500,000/s, 0 s left"),
    ],
)
def test_what_is_said(now: Progress, seconds: float, text: str) -> None:
    assert verify.so_far(now, seconds) == text


def test_lines_come_only_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads a file of the output is not to find a thousand lines; a short log has none."""
    clock = iter([0.0, *(float(second) for second in range(1, 40)), *[39.0] * 40])
    monkeypatch.setattr(verify.time, "monotonic", lambda: next(clock))
    said: list[str] = []
    monkeypatch.setattr(verify.console, "say", said.append)
    show = verify._lines()
    for read in range(9):
        show(Progress(read * 10_000, 1_000_000))
    assert said == []
    for read in range(9, 16):
        show(Progress(read * 10_000, 1_000_000))
    assert len(said) == 1
    assert said[0].startswith("recounting: ")
    assert said[0].endswith(" left")
