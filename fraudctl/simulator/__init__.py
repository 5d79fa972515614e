"""Simulated card transactions, fraud, faults and labels; and transactions mapped from foreign tables."""
