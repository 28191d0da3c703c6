"""Tests of the built-in loggers."""
