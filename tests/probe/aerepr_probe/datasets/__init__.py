"""Data sets of the probe."""
