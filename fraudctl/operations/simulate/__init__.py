"""Simulations that are written to files or measured, without any service."""
