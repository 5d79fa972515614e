"""An independent recount of the log: the rows that the database must hold, computed without detector code."""
