"""Regularizers of the probe."""
