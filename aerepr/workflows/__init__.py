"""One function per command: the Python API."""
