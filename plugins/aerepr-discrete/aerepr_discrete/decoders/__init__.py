"""Decoders of discrete representations."""
