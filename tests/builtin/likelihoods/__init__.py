"""Tests of the built-in likelihoods."""
