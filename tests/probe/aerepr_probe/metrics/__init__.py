"""Metrics of the probe."""
