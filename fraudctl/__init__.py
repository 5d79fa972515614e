"""fraudctl: a command line that runs a real-time card-fraud pipeline and proves its numbers."""

__version__ = "0.1.0"
