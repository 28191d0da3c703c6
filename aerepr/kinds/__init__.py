"""The contracts, one file each."""
