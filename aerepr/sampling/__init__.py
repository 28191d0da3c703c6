"""Images out of a finished run: samples, traversals, reconstructions."""
