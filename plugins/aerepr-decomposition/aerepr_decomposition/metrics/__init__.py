"""Overlap of encodings, match of the aggregate posterior and the prior, and the structure that results."""
