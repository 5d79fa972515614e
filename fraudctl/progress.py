"""What a long operation says while it works: events, which the ui layer draws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """One step of `subject` (java, jars, kafka, …).

    `begun` and `tick` say what is being done, `done` that it has been done, `note` is worth reading later.
    """

    subject: str
    kind: Literal["begun", "tick", "done", "note"]
    text: str


Observe = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """For callers that want to hear nothing."""
