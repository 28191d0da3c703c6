"""Tests of the built-in samplers."""
