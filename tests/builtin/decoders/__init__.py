"""Tests of the built-in decoders."""
