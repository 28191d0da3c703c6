"""Priors of discrete representations."""
