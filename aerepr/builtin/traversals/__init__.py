"""Built-in traversals."""
