"""Tests of the built-in priors."""
