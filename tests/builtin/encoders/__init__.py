"""Tests of the built-in encoders."""
