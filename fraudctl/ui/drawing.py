"""What is drawn in place on a terminal, and said line by line elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from fraudctl.ui.console import talk


class Drawing:
    """A view of something that moves; use it as a context manager.

    `stays`: the last picture is left on the terminal.
    """

    def __init__(self, *, stays: bool = False) -> None:
        self._live = (
            Live(console=talk(), auto_refresh=False, transient=not stays) if talk().is_terminal else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @property
    def drawn(self) -> bool:
        """Whether `draw` shows anything."""
        return self._live is not None

    def draw(self, picture: RenderableType) -> None:
        """In the place of the picture before."""
        if self._live:
            self._live.update(picture, refresh=True)

    def draw_line(self, text: str) -> None:
        """One line, cut at the terminal's edge."""
        self.draw(Text(text, no_wrap=True, overflow="ellipsis"))
