"""Files and drawings to arrays."""
