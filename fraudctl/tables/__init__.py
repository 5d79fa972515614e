"""Tables from other systems: read row by row, strictly, and recognised by their content."""
