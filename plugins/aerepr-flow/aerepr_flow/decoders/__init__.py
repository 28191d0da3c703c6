"""Decoders of flow factorized representations."""
