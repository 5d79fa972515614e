"""A reader for compose.yaml, which refuses whatever fraudctl does not run."""
