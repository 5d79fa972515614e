"""The exception that has a batch run again by a new query."""


class RunAgainError(Exception):
    """A batch that must run again under a changed query; it ends the query before the batch is written."""
