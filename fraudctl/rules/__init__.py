"""Rules: their model and specification, checks of their conditions, and trained forests."""
