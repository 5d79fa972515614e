"""The detector: the Spark application that evaluates, counts and writes transactions."""
