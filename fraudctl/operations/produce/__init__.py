"""Producers of transactions: at a steady rate, from a preset, or from a file."""
