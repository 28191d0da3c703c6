"""Tests of the built-in objectives."""
