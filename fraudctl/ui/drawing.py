"""Live views: redrawn on a terminal, replaced by plain lines elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from fraudctl.ui.console import talk


class Drawing:
    """A live view of something that changes; use it as a context manager."""

    def __init__(self, *, stays: bool = False) -> None:
        """Prepare the view.

        Args:
            stays: leave the last picture on the terminal.
        """
        self._live = (
            Live(console=talk(), auto_refresh=False, transient=not stays) if talk().is_terminal else None
        )

    def __enter__(self) -> Self:
        """Start drawing, on a terminal."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        if self._live:
            self._live.stop()

    @property
    def drawn(self) -> bool:
        """Tell whether `draw` shows anything."""
        return self._live is not None

    def draw(self, picture: RenderableType) -> None:
        """Replace the picture on the terminal."""
        if self._live:
            self._live.update(picture, refresh=True)

    def draw_line(self, text: str) -> None:
        """Draw one line, cut at the terminal's edge."""
        self.draw(Text(text, no_wrap=True, overflow="ellipsis"))
