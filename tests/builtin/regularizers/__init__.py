"""Tests of the built-in regularizers."""
