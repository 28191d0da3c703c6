"""Traversals of discrete representations."""
