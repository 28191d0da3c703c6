"""Data sets of sequences, and the published ones of this paper."""
