"""Tests, as a package of this name that comes before any other: torch-fidelity installs one too."""
