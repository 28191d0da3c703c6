"""Autoencoders of sequences whose code flows along the gradient of a learned potential, as a plugin of aerepr."""
