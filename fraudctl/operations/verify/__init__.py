"""Verification: recount the log independently and compare the result with the database."""
