"""The checks every component of a kind passes; plugin authors run the same."""
