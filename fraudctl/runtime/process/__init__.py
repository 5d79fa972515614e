"""Processes of this machine: run to their end, supervised, and identified."""
