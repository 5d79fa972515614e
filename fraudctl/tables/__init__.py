"""Tables that come from elsewhere: read row by row, strictly, and told apart by what they hold."""
