"""Tests of the built-in data sets."""
