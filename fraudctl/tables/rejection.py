"""Reasons for leaving out a row: a kind of reason, and the value that caused it."""

from fraudctl.tables.cells import shown


class RejectedRowError(ValueError):
    """A row that cannot be a transaction, or that the mapping chooses to leave out.

    `example` is the row's value in a form that may be shown.
    """

    def __init__(self, kind: str, value: object = "", *, chosen: bool = False, hint: str = "") -> None:
        """Make the error for one row.

        Args:
            kind: the reason, the same for every such row, whatever its values.
            value: the value of this row that caused it.
            chosen: the mapping says that such rows are to be left out, so nothing is lost.
            hint: what the user can do about it.
        """
        self.kind = kind
        self.example = shown(value)
        self.chosen = chosen
        # What the mapping chooses to leave out needs no remedy.
        self.hint = "" if chosen else hint
        super().__init__(f"{kind}: '{self.example}'")
