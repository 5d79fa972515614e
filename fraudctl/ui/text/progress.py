"""Progress events as they come: a live line on a terminal, plain lines elsewhere, all on stderr."""

from types import TracebackType

from rich.status import Status

from fraudctl.progress import Progress
from fraudctl.ui.console import say, talk


class ProgressView:
    """A view of progress events, used as a context manager; `show` is the `observe` of an operation."""

    def __init__(self) -> None:
        """Start with nothing in progress."""
        self._live: Status | None = None
        self._working: dict[str, str] = {}

    def __enter__(self) -> "ProgressView":
        """Return the view; it draws nothing before the first event."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the live line."""
        self._draw(None)

    def show(self, progress: Progress) -> None:
        """Show one progress event; any thread may call it."""
        if progress.kind in ("begun", "tick"):
            self._working[progress.subject] = progress.text
        else:
            self._working.pop(progress.subject, None)
        if progress.kind != "tick" and not (progress.kind == "begun" and talk().is_terminal):
            say(f"{progress.subject}: {progress.text}")
        self._draw(" · ".join(f"{subject}: {text}" for subject, text in sorted(self._working.items())))

    def _draw(self, text: str | None) -> None:
        if not talk().is_terminal:
            return
        if not text:
            if self._live is not None:
                self._live.stop()
                self._live = None
        elif self._live is None:
            self._live = Status(text, console=talk())
            self._live.start()
        else:
            self._live.update(text)
