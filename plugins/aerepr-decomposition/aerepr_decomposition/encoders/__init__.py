"""Encoders of the experiments on images."""
