"""Results of the commands as text, one module for each command."""
