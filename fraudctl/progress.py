"""Progress events of long operations; the ui layer draws them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """A progress event of `subject` (java, jars, kafka, …).

    `begun` and `tick` say what is being done, `done` says what has been done, `note` is worth reading later.
    """

    subject: str
    kind: Literal["begun", "tick", "done", "note"]
    text: str


Observe = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """Ignore an event, for callers that want no progress."""
