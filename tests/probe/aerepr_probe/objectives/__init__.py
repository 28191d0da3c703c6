"""Objectives of the probe."""
