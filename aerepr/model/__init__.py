"""Composition: a validated spec becomes modules."""
