"""Encoders of flow factorized representations."""
