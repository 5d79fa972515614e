"""Spark's checkpoint as files: inspection before a start, and rewinding to run batches again."""
