"""Metrics of sequences."""
