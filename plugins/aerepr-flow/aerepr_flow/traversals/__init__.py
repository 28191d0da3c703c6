"""Traversals along flows."""
