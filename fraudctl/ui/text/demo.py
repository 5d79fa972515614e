"""The demo on a terminal: progress, windows as they fill, and the summary with its picture."""

import io
import re
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from fraudctl.database.windows import WindowCounts
from fraudctl.operations.demo import STREAM_SECONDS, DemoResult
from fraudctl.operations.detect.supervise import Batch
from fraudctl.runtime.files import naming
from fraudctl.ui.console import say
from fraudctl.ui.drawing import Drawing
from fraudctl.ui.text import detect as detect_text
from fraudctl.ui.text import windows as windows_text

_PICTURE_WIDTH = 100
_CAPTION = f"A simulated day, sent in {STREAM_SECONDS:.0f} s; each column is one slice of its event time."


class DemoView(Drawing):
    """A view of the demo: windows as they fill on a terminal, a line for each batch elsewhere."""

    def __init__(self, categories: tuple[str, ...], length_minutes: int) -> None:
        """Start the view.

        Args:
            categories: columns of the table of windows.
            length_minutes: length of a window.
        """
        super().__init__()
        self._categories = categories
        self._length_minutes = length_minutes
        self._last = ""

    def batch(self, batch: Batch) -> None:
        """Take in one more batch; its line is printed where no table is drawn."""
        self._last = detect_text.line(batch)
        if not self.drawn and batch.read:
            say(self._last)

    def windows(self, newest: list[WindowCounts]) -> None:
        """Redraw the table with the newest windows, on a terminal."""
        if self.drawn:
            table = windows_text.table(newest, self._categories, self._length_minutes)
            self.draw(Group(table, Text(self._last, style="dim")))


def summary(result: DemoResult, categories: tuple[str, ...], length_minutes: int) -> RenderableType:
    """Return the picture, the counts by outcome and the verdict."""
    fates = Table(title="messages by fate", title_justify="left")
    for name in ("fate", "planned by the simulator", "found by the recount"):
        fates.add_column(name, justify="left" if name == "fate" else "right")
    for fate in result.fates:
        fates.add_row(fate.name, f"{fate.planned:,}", f"{fate.found:,}")
    check = result.verification
    verdict = (
        f"{'PASS' if result.passed else 'FAIL'}: {check.rows_compared:,} window rows and "
        f"{check.dead_letters_compared:,} dead letters against a recount: {check.differences} differences"
    )
    figures = result.detected.trigger_ms
    parts: list[RenderableType] = [
        windows_text.picture(result.slices, categories, length_minutes, _PICTURE_WIDTH),
        Text(_CAPTION, style="dim"),
        Text(),
        fates,
        Text(verdict, style="bold green" if result.passed else "bold red"),
    ]
    working = result.detected.batches - result.detected.idle_batches
    if figures:
        parts.append(Text(f"{working} micro-batches, half of them within {figures['p50']:.0f} ms"))
    return Group(*parts)


def next_steps(result: DemoResult, stack: str) -> str:
    """Return the commands to type next."""
    if result.kept:
        option = f" --stack {stack}"
        return (
            f'The stack still runs. Try: eval "$(fraudctl env{option})"; psql\n'
            f"End it with: fraudctl down{option} --volumes --yes"
        )
    return (
        "Nothing is left running. Now with the wall clock, in a stack that stays:\n"
        "  fraudctl up\n"
        "  fraudctl produce --rate 500      # in one terminal\n"
        "  fraudctl detect                  # in another\n"
        "  fraudctl verify-idempotency"
    )


def save_picture(rendered: RenderableType, file: Path) -> None:
    """Save the summary as an SVG image, exactly as a terminal shows it."""
    recorder = Console(record=True, width=_PICTURE_WIDTH, file=io.StringIO(), force_terminal=True)
    recorder.print(rendered)
    svg = recorder.export_svg(title="fraudctl demo")
    # rich refers to a web font, and the image must not load anything from elsewhere.
    with naming(file):
        file.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")
