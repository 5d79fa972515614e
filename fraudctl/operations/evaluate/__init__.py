"""Offline evaluation: measure alerts and flags against fraud labels."""
