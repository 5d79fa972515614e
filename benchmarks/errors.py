"""Failures of the harness that end one sample, not the run."""


class BenchError(Exception):
    """A side failed, or gave an answer that cannot be right."""


class UnavailableError(BenchError):
    """A side cannot run on this machine at all; the message says why."""
