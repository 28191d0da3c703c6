"""Posteriors of the probe."""
