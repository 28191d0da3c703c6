"""Structured representation learning with autoencoders."""
