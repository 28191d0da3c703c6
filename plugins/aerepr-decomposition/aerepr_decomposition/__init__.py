"""Overlap and structured priors for variational autoencoders, as a plugin of aerepr."""
