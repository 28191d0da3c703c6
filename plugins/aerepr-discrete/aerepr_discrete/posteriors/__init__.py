"""Posteriors of discrete representations."""
