"""Metrics of discrete representations."""
