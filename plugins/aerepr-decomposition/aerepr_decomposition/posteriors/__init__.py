"""Posteriors beside the Gaussian."""
