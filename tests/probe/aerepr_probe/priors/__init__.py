"""Priors of the probe."""
