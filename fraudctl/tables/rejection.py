"""Why a row is left out: a kind of reason, and the value that gave rise to it."""

from fraudctl.tables.cells import shown


class RejectedRowError(ValueError):
    """A row that cannot be a transaction, or is none by the mapping's own choice.

    `kind` is the same for every such row, whatever its values; `example` is this row's value, fit to be
    shown. `chosen`: the mapping says that such rows are to be left out, so it is no loss.
    """

    def __init__(self, kind: str, value: object = "", *, chosen: bool = False, hint: str = "") -> None:
        self.kind = kind
        self.example = shown(value)
        self.chosen = chosen
        self.hint = hint
        super().__init__(f"{kind}: {self.example!r}")
