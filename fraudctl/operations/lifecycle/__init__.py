"""The life cycle of a stack: up, down, restart, status, logs, migrations and settings."""
