"""A batch is to be run again, by a query that is made anew."""


class RunAgainError(Exception):
    """Ends the query before its batch has landed; the same batch runs again under the changed query."""
