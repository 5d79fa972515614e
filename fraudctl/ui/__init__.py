"""Presentation of results and errors: text, JSON, plots, and live views on a terminal."""
