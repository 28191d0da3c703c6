"""Tests of the built-in posteriors."""
