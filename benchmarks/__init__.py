"""The benchmark harness: `make bench`, or `python -m benchmarks --help`. No part of the wheel."""
