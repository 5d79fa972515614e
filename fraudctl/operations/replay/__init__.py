"""Replays: run the detector over part or all of the log again, and compare the result with the database."""
