"""Start, supervision and stop of a stack's services and of the detector, as processes or as containers."""
