"""Regularizers of discrete representations."""
