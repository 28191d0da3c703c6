"""Data sets of the experiments on structure."""
