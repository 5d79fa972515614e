"""Inputs of several operations: files of events, fraud labels, and the join of the two."""
