"""Drills: inject faults into a stack under load, and verify that no row is wrong afterwards."""
