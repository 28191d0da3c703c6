"""Metrics computed on a run."""
