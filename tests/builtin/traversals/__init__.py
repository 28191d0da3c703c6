"""Tests of the built-in traversals."""
