"""Decoders of the experiments on images."""
