"""The command line: one module for each command, which reads options and calls an operation."""
