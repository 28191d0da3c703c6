"""Encoders of discrete representations."""
