"""fraudctl: a real-time card-fraud pipeline that proves its own numbers."""

__version__ = "0.1.0"
