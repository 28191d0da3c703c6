"""Variational autoencoders on a grid of ordered categories, as a plugin of aerepr."""
